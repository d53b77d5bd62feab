"""The one place that asks for the extra ``contract``: where something is declared first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .conversion import Conversion

INSTALL: Final = "pip install 'hawser[contract]'"


def load_conversion() -> Conversion:
    """What turns values into instances and back.

    Raises:
        ModuleNotFoundError: cattrs is not installed; the message says what to do.
    """
    try:
        from .conversion import conversion
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "cattrs":
            raise
        message = f"declared events and typed procedures need {error.name!r}, which is not installed: {INSTALL}"
        raise ModuleNotFoundError(message, name=error.name) from None
    return conversion()
