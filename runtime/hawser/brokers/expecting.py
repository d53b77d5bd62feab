"""How the contract suite says what it saw."""

from __future__ import annotations


class BrokerContractError(AssertionError):
    """A broker broke its contract; the message names the check and what was seen."""


def expect(check: str, actual: object, expected: object) -> None:
    """Complain unless both are equal.

    Raises:
        BrokerContractError: They are not.
    """
    if actual != expected:
        raise BrokerContractError(f"{check}: saw {actual!r}, expected {expected!r}")
