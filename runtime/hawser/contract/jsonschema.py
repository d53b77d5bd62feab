"""The contract of an app as JSON Schema, draft 2020-12: for validators and generators that know nothing of Hawser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .catalogue import arguments_of, catalogue_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hawser.app import App

    from .catalogue import Call, Channel
    from .keywords import Schema
    from .schemas import Schemas


def json_schema(app: App, *, title: str) -> dict[str, Any]:
    """Write it: an instance is one publication, or one call with its result or an item, or an item that it takes.

    Args:
        app: The app.
        title: What the service is called.
    """
    catalogue = catalogue_of(app)
    schemas = catalogue.schemas("#/$defs/", "2020-12")
    forms = [form for channel in catalogue.channels for form in _publications(channel, schemas)]
    forms += [_exchange(call, schemas) for call in catalogue.calls]
    document: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    if forms:
        document["anyOf"] = forms
    return {**document, "$defs": schemas.definitions()}


def _publications(channel: Channel, schemas: Schemas) -> Iterator[Schema]:
    name: Schema = {"const": channel.pattern}
    if channel.pattern.endswith("*"):
        name = {"type": "string", "pattern": "^" + _literally(channel.pattern[:-1])}
    if not channel.events:
        yield _object(channel=name, data={})
    for event, cls in channel.events:
        yield _object(channel=name, event={"const": event}, data=schemas.of(cls))


def _exchange(call: Call, schemas: Schemas) -> Schema:
    more = {"item" if call.items else "result": schemas.of(call.result)}
    if call.inputs:
        more["input"] = schemas.of(call.input)
    form = _object(procedure={"const": call.name}, arguments=arguments_of(call, schemas), **more)
    return {**form, "description": call.doc} if call.doc else form


def _literally(text: str) -> str:
    """A text as a regular expression; ``re.escape`` escapes more than ECMA 262 lets."""
    return re.sub(r"[\^$\\.*+?()[\]{}|/]", r"\\\g<0>", text)


def _object(**properties: Schema) -> Schema:
    required = [name for name in properties if name not in ("result", "item", "input")]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
