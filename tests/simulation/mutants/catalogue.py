"""All planted bugs by name."""

from typing import Final

from .attaching import ATTACHING
from .carrying import CARRYING
from .keeping import KEEPING
from .mutant import Mutant
from .receiving import RECEIVING
from .sending import SENDING

__all__ = ["MUTANTS"]

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name: mutant for mutant in (*SENDING, *RECEIVING, *ATTACHING, *KEEPING, *CARRYING)
}
