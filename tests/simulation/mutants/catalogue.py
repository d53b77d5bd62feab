"""All planted bugs by name."""

from typing import Final

from .attaching import ATTACHING
from .keeping import KEEPING
from .mutant import Mutant
from .receiving import RECEIVING
from .sending import SENDING

__all__ = ["LACKING", "MUTANTS"]

MUTANTS: Final[dict[str, Mutant]] = {mutant.name: mutant for mutant in (*SENDING, *RECEIVING, *ATTACHING, *KEEPING)}

LACKING: Final[dict[str, str]] = {}
"""What the simulator's world needs before it can notice them; the gate passes over these, and only these."""
