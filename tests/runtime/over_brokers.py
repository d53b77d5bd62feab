"""Suites that run over each broker: what is promised of channels and mailboxes does not depend on who keeps them.

A suite says ``pytestmark = each_broker``, and a test in it that does not fit all of them which ones it does. A store in
a file is asked in the event loop, for its thread would not wait for a virtual clock (`inline_store`).
"""

from __future__ import annotations

from typing import Final

import pytest

BROKERS: Final = ("memory", "sqlite", "late")
"""In memory; in a real file; and in memory again, but in no hurry: it answers and reports late and out of order."""

each_broker: Final = pytest.mark.usefixtures("each_broker")


def only_over(*kinds: str) -> pytest.MarkDecorator:
    """Run a test of such a suite over these alone."""
    return pytest.mark.parametrize("each_broker", kinds, indirect=True)


its_own: Final = only_over("memory")
"""A test that makes a broker of its own, or none."""
prompt: Final = only_over("memory", "sqlite")
"""One that needs a publication to be reported when it is answered, and no later."""
unserved: Final = only_over("memory", "late")
"""One that uses a broker while no server serves it, or several do; a file is open for one server alone, and then."""
inside: Final = only_over("memory", "late")
"""One that reaches into what a broker keeps in memory."""
