"""All planted bugs by name."""

from typing import Final

from .attaching import ATTACHING
from .keeping import KEEPING
from .mutant import Mutant
from .receiving import RECEIVING
from .sending import SENDING

__all__ = ["LACKING", "MUTANTS"]

MUTANTS: Final[dict[str, Mutant]] = {mutant.name: mutant for mutant in (*SENDING, *RECEIVING, *ATTACHING, *KEEPING)}

LACKING: Final[dict[str, str]] = {
    "server-never-pings": "deadlines for dead links and detached sessions, with sleeps near their ends",
    "only-a-pong-is-life": "a check that a connection is held dead only if no byte came in time",
    "pong-wait-from-queueing": "a check that a connection is held dead only if no byte came in time",
    "gap-kills-connections": "a check that a connection is held dead only if no byte came in time",
    "gap-ends-sessions": "deadlines for dead links and detached sessions, with sleeps near their ends",
    "gap-moves-expiry-for-ever": "deadlines for dead links and detached sessions, with sleeps near their ends",
}
"""What the simulator's world needs before it can notice them; the gate passes over these, and only these."""
