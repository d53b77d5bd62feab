"""The events of a channel: what each publication says that it is, and what its data looks like then (SPEC CTR-1).

The name of an event travels as the tag ``event``, beside the data: so subscribers filter by it, and the data is what is
declared and nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from hawser.payloads import ARGUMENT_BYTES_MAX, decode_payload

from .conversion import conversion
from .problems import ContractBroken, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAG: Final = "event"
"""The tag that names the event of a publication."""

NAME_BYTES_MAX: Final = 64
"""The longest name of an event, in bytes of UTF-8: that of a tag."""


class Events:
    """What is published in the channels of one pattern."""

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}

    def __iter__(self) -> Iterator[tuple[str, type]]:
        """Names and classes, by name."""
        return iter(sorted(self._classes.items()))

    def add(self, name: str, cls: type) -> None:
        """Declare an event.

        Raises:
            ModuleNotFoundError: The extra is not installed.
            TypeError: The class cannot be that of a payload.
            ValueError: The name is taken, or the class has another one.
        """
        if name in self._classes:
            raise ValueError(f"the event {name!r} is declared already")
        if cls in self._classes.values():
            raise ValueError(f"{cls.__name__} is declared already, as {self._name_of(cls)!r}")
        conversion().prepare(cls)
        self._classes[name] = cls

    def check(self, raw: bytes, tags: Mapping[str, str] | None) -> None:
        """Look at what somebody wants to publish.

        Raises:
            ContractBroken: It is not as declared.
            PayloadError: It is no value.
        """
        cls = self._classes[self._said(tags)]
        conversion().structure(decode_payload(raw, limit=ARGUMENT_BYTES_MAX), cls)

    def render(self, data: object, tags: Mapping[str, str] | None) -> tuple[Any, Mapping[str, str]]:
        """What the application publishes, and its tags: an instance of a class that is declared, or a value and a tag.

        Raises:
            ContractBroken: It is not as declared.
        """
        name = self._name_of(type(data))
        if name is not None:
            return conversion().render(data, type(data)), {**(tags or {}), TAG: name}
        if attrs.has(type(data)):
            message = f"is {type(data).__name__}, which is the class of no event here"
            raise ContractBroken([Problem("$", "type", message)])
        said = self._said(tags)
        conversion().structure(data, self._classes[said])
        return data, tags or {}

    def read(self, data: object, tags: Mapping[str, str]) -> Any:
        """An instance of the class of an event that was published.

        Raises:
            ContractBroken: It is not as declared.
        """
        return conversion().structure(data, self._classes[self._said(tags)])

    def _said(self, tags: Mapping[str, str] | None) -> str:
        said = (tags or {}).get(TAG)
        if said in self._classes:
            return said
        names = " or ".join(map(repr, sorted(self._classes)))
        if said is None:
            raise ContractBroken([Problem("tags.event", "missing", f"is missing, expected {names}")])
        raise ContractBroken([Problem("tags.event", "unknown", f"is none of this channel, expected {names}")])

    def _name_of(self, cls: type) -> str | None:
        return next((name for name, one in self._classes.items() if one is cls), None)
