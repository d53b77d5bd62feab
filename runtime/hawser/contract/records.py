"""Attrs classes, taken and taken apart by cattrs; what their fields hold is left to the hooks of `Conversion`.

It comes with the extra ``contract`` and is imported where a class is declared first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import cattrs
from cattrs.errors import ClassValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .mistakes import own_mistakes, problems_of
from .problems import ContractBroken
from .shapes import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

    from .conversion import Conversion


class Records:
    """All attrs classes that are declared.

    Args:
        conversion: Knows what their fields hold.
    """

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._converter = cattrs.Converter(detailed_validation=True)
        self._building: dict[type, Callable[[Any, Any], Any]] = {}
        self._parting: dict[type, Callable[[Any], Any]] = {}

    def prepare(self, cls: type[attrs.AttrsInstance]) -> None:
        """Get to know a class.

        Raises:
            Undescribable: A field of it has no type of a value that travels.
        """
        if cls in self._parting:
            return
        takes: dict[str, Any] = {}
        gives: dict[str, Any] = {}
        for field in fields_of(cls):
            takes[field.name] = override(struct_hook=_ignoring_the_type(self._conversion.taking(field.type)))
            gives[field.name] = override(unstruct_hook=self._conversion.giving(field.type))
        self._building[cls] = cast(
            "Any", make_dict_structure_fn(cls, self._converter, _cattrs_forbid_extra_keys=True, **takes)
        )
        self._parting[cls] = make_dict_unstructure_fn(cls, self._converter, **gives)

    def build(self, cls: type[attrs.AttrsInstance], value: dict[str, Any]) -> Any:
        """Make an instance.

        Raises:
            ContractBroken: The value is not as declared.
            Exception: A validator of the class fails otherwise than by a ValueError, which is a fault of its own.
        """
        self.prepare(cls)
        try:
            return self._building[cls](value, cls)
        except ClassValidationError as group:
            self._conversion.spend(own_mistakes(group))
            problems, more = problems_of(group)
        raise ContractBroken(problems, more=more)

    def take_apart(self, cls: type[attrs.AttrsInstance], value: Any) -> Any:
        """Make a map of the fields of an instance.

        Raises:
            Exception: It is none.
        """
        self.prepare(cls)
        return self._parting[cls](value)


def _ignoring_the_type(take: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: take(value)
