"""Numbers that somebody declares or configures: one that cannot be is refused by the name that it was given under."""

from __future__ import annotations

from math import inf


def check_number(name: str, value: object, least: float, *, whole: bool = False) -> None:
    """Refuse what is no number, or too small a one.

    Args:
        name: What it was given as.
        value: The number.
        least: The smallest that may be.
        whole: Whether it counts something.

    Raises:
        ValueError: It is none, or below that.
    """
    if not _number(name, value, whole=whole) >= least:
        raise ValueError(f"{name} is {value!r}; it must be {least:g} or more")


def check_amounts(least: int, **amounts: object) -> None:
    """Refuse what counts nothing, or less than it may.

    Args:
        least: The smallest that each of them may be.
        amounts: They, by name.

    Raises:
        ValueError: One of them is none, or below that.
    """
    for name, value in amounts.items():
        check_number(name, value, least, whole=True)


def check_spans(**spans: object) -> None:
    """Refuse what is no span of time; one without an end is.

    Args:
        spans: Seconds, by name.

    Raises:
        ValueError: One of them is none, or not above 0.
    """
    for name, value in spans.items():
        if not _number(name, value) > 0:
            raise ValueError(f"{name} is {value!r}; it must be above 0")


def check_seconds(what: str, given: object) -> None:
    """Refuse what is no time to wait.

    Args:
        what: The argument.
        given: Any value.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above 0, or not finite.
    """
    if not isinstance(given, (int, float)):
        raise TypeError(f"{what} is a number of seconds, not {type(given).__name__}")
    if not 0 < given < inf:
        raise ValueError(f"{what} is {given!r}; it must be above 0, and finite")


def _number(name: str, value: object, *, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(f"{name} is {value!r}; it must be a {'whole ' * whole}number")
    return value
