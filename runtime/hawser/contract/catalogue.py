"""What an app has agreed on, in a fixed order: what every document of it is written from."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import attrs

from hawser.rights import NOBODY

from .schemas import Dialect, Schemas, field_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hawser.app import App
    from hawser.calls import Procedure
    from hawser.rules import ChannelRule

    from .keywords import Schema

OWN: Final = "$"
"""Names that begin so are the protocol's, and no service's."""


@attrs.frozen
class Channel:
    """The channels of one pattern."""

    pattern: str
    events: tuple[tuple[str, type], ...]
    """Names and classes; none where nothing is declared."""
    published: bool
    """Whether clients may publish there at all."""


@attrs.frozen
class Call:
    """One procedure."""

    name: str
    doc: str | None
    parameters: tuple[tuple[inspect.Parameter, Any], ...]
    """Those that callers give, with their types."""
    typed: bool
    """Whether types are checked; else all of them are `Any`."""
    result: Any
    """The type of the result, or of each item."""
    items: bool
    """Whether it answers in items."""
    inputs: bool
    """Whether it takes items while it runs."""
    input: Any
    """The type of each of them."""


@attrs.frozen
class Catalogue:
    """Everything, by name."""

    channels: tuple[Channel, ...]
    calls: tuple[Call, ...]

    def schemas(self, prefix: str, dialect: Dialect) -> Schemas:
        """The schemas of all types in it."""
        return Schemas(self._kinds(), prefix, dialect)

    def _kinds(self) -> Iterator[Any]:
        for channel in self.channels:
            for _, cls in channel.events:
                yield cls
        for call in self.calls:
            for _, kind in call.parameters:
                yield kind
            yield call.result
            yield call.input


def catalogue_of(app: App) -> Catalogue:
    """Look at an app."""
    rules = sorted((rule for rule in app.rules if not rule.pattern.startswith(OWN)), key=lambda rule: rule.pattern)
    procedures = sorted(name for name in app.procedures if not name.startswith(OWN))
    return Catalogue(tuple(map(_channel, rules)), tuple(_call(app.procedures[name]) for name in procedures))


def _channel(rule: ChannelRule) -> Channel:
    events = () if rule.events is None else tuple(rule.events)
    return Channel(rule.pattern, events, rule.rights.get("publish") is not NOBODY)


def _call(procedure: Procedure) -> Call:
    leading = 2 if procedure.takes_inputs else 1
    given = list(procedure.signature.parameters.values())[leading:]
    types = procedure.types
    kinds = {one.name: Any for one in given} if types is None else types.parameters
    return Call(
        procedure.name,
        inspect.getdoc(procedure.handler),
        tuple((one, kinds[one.name]) for one in given),
        types is not None,
        Any if types is None else types.result,
        procedure.streams,
        procedure.takes_inputs,
        Any if types is None else types.input,
    )


def arguments_of(call: Call, schemas: Schemas) -> Schema:
    """The schema of what a procedure is called with: a map of named arguments, or a list of them."""
    forms: list[Schema] = []
    fields = {kind: [field_of(one, type) for one, type in call.parameters if one.kind is kind] for kind in _KINDS}
    first, either, more, named, rest = (fields[kind] for kind in _KINDS)
    if not any(field.required for field in first):
        members = schemas.members(either + named)
        forms.append({**members, "additionalProperties": schemas.of(rest[0].type)} if rest else members)
    if not any(field.required for field in named):
        elements = [schemas.of(field.type) for field in first + either]
        required = sum(field.required for field in first + either)
        forms.append(schemas.fixed(elements, required, schemas.of(more[0].type) if more else None))
    if len(forms) == 1:
        return forms[0]
    return {"anyOf": forms} if forms else {"not": {}}  # a call has either names or places: nobody can make it


_KINDS: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)
