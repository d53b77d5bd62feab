"""The contract of an app as AsyncAPI 3.0, told from the side of the service: what it receives is what clients send.

Channels are those of the service; a procedure is one more, without an address, whose operation has a reply. Names that
AsyncAPI would take apart or not allow as keys are replaced, and stand in full beside them, as ``x-hawser-…``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .catalogue import arguments_of, catalogue_of
from .events import TAG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hawser.app import App

    from .catalogue import Call, Channel
    from .keywords import Schema
    from .schemas import Schemas

VERSION: Final = "3.0.0"

CONTENT_TYPE: Final = "application/cbor"

REST: Final = "rest"
"""The parameter that stands for the ``*`` of a pattern."""

ERROR: Final[Schema] = {
    "title": "Error",
    "description": "What ERROR carries; `data` has the problems of what is not as declared (SPEC CTR-3, CTR-5).",
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "temporary": {"type": "boolean"},
        "data": {},
    },
    "required": ["code", "message", "temporary"],
}


def asyncapi(app: App, *, title: str, version: str) -> dict[str, Any]:
    """Write it.

    Args:
        app: The app.
        title: What the service is called.
        version: Which version of the service it is of.
    """
    catalogue = catalogue_of(app)
    schemas = catalogue.schemas("#/components/schemas/", "draft-07")
    writer = _Writer(schemas)
    for channel in catalogue.channels:
        writer.channel(channel)
    for call in catalogue.calls:
        writer.call(call)
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": CONTENT_TYPE,
        "channels": writer.channels,
        "operations": writer.operations,
    }
    components: dict[str, Any] = {"schemas": schemas.definitions()}
    if catalogue.calls:
        components["messages"] = {"error": _message("error", ERROR)}
    return {**document, "components": components}


class _Writer:
    """Collects channels and operations."""

    def __init__(self, schemas: Schemas) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self._schemas = schemas

    def channel(self, channel: Channel) -> None:
        """What is published in the channels of a pattern: by clients, and to them."""
        id = self._id(channel.pattern.replace("*", "any"))
        described: dict[str, Any] = {"address": channel.pattern}
        if channel.pattern.endswith("*") and not set("{}") & set(channel.pattern):
            described["address"] = f"{channel.pattern[:-1]}{{{REST}}}"
            described["parameters"] = {REST: {"description": f"What follows in names that match {channel.pattern}"}}
        elif set("*{}") & set(channel.pattern):  # braces would be taken for a parameter
            described["address"] = None
        described["x-hawser-pattern"] = channel.pattern
        described["messages"] = {event: self._event(event, cls) for event, cls in channel.events}
        if not channel.events:
            described["messages"]["publication"] = _message("publication", {})
        self.channels[id] = described
        names = list(described["messages"])
        if channel.published:
            self.operations[f"{id}.publish"] = _operation("receive", id, names, "Clients publish")
        self.operations[f"{id}.subscribe"] = _operation("send", id, names, "Clients that have subscribed are sent")

    def call(self, call: Call) -> None:
        """A procedure: its request, and its reply, which may be items; and what is sent to it meanwhile."""
        id = self._id(f"call_{call.name}")
        answer = "item" if call.items else "reply"
        described: dict[str, Any] = {"address": None, "x-hawser-procedure": call.name}
        if call.doc:
            described["description"] = call.doc
        described["messages"] = {
            "request": _message(f"{call.name} request", arguments_of(call, self._schemas)),
            answer: _message(f"{call.name} {answer}", self._schemas.of(call.result)),
            "error": {"$ref": "#/components/messages/error"},
        }
        if call.inputs:
            described["messages"]["input"] = _message(f"{call.name} input", self._schemas.of(call.input))
        self.channels[id] = described
        operation = _operation("receive", id, ["request"], f"Clients call {call.name}")
        operation["reply"] = {"channel": _ref("channels", id), "messages": _refs(id, [answer, "error"])}
        self.operations[id] = operation
        if call.inputs:
            self.operations[f"{id}.input"] = _operation("receive", id, ["input"], f"Clients send items to {call.name}")

    def _event(self, name: str, cls: type) -> Schema:
        headers = {"type": "object", "properties": {TAG: {"const": name}}, "required": [TAG]}
        return {**_message(name, self._schemas.of(cls)), "headers": headers}

    def _id(self, text: str) -> str:
        """Letters that may stand in a key, not taken yet."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "channel"
        id, count = plain, 1
        while id in self.channels:
            count += 1
            id = f"{plain}_{count}"
        return id


def _message(name: str, payload: Schema) -> Schema:
    return {"name": name, "contentType": CONTENT_TYPE, "payload": payload}


def _operation(action: str, channel: str, messages: Iterable[str], summary: str) -> dict[str, Any]:
    refs = _refs(channel, messages)
    return {"action": action, "channel": _ref("channels", channel), "summary": summary, "messages": refs}


def _refs(channel: str, messages: Iterable[str]) -> list[Schema]:
    return [_ref("channels", channel, "messages", name) for name in messages]


def _ref(*path: str) -> Schema:
    """A JSON pointer (RFC 6901), in the letters of a URI fragment."""
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in path)
    return {"$ref": "#/" + "/".join(re.sub(r"[^A-Za-z0-9_.~-]", _percent, part) for part in escaped)}


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())
