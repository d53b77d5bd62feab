"""Pages of history on their way to the clients that ask for them (SPEC 15.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from hawser import pages
from hawser.calls import chosen_error_body
from hawser.errors import RequestFailed
from hawser.middleware import ReadRequest, pass_through
from hawser_engine.cbor import BYTES, encode_head
from hawser_engine.channels.entries import told
from hawser_engine.messages import Page, PositionNotice, Read, encode_body, encode_publication

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hawser.brokers import Entry
    from hawser.rules import ChannelRule

    from .sessions import ServerSession

PAGE_MAX: Final = 128
"""Publications in a page (PGE-4)."""


async def read(session: ServerSession, operation: Read) -> bytes:
    """Carry out a READ; returns its answer.

    Raises:
        Refused: It may not be read.
        BrokerUnavailable: It cannot be read now.
    """
    try:
        rule = await _allow(session, operation)
    except RequestFailed as error:
        return chosen_error_body(operation.id, error)
    node = session.node
    longest = min(session.message_bytes, node.config.message_bytes)
    limit = min(operation.limit, PAGE_MAX)
    asked = pages.Asked(operation.channel, operation.since, operation.before, limit)
    reading = await pages.read(node.app.broker, asked, longest)
    empty = Page(operation.id, reading.top, reading.first, reading.more, ())
    room = longest - len(encode_body(empty)) - len(encode_head(BYTES, PAGE_MAX))
    oldest_first = asked.forward
    bodies = _fitting(rule, asked.channel, reading, room, oldest_first=oldest_first)
    more = reading.more or len(bodies) < len(reading.entries)
    return encode_body(attrs.evolve(empty, more=more, publications=tuple(bodies if oldest_first else bodies[::-1])))


async def _allow(session: ServerSession, operation: Read) -> ChannelRule:
    """Whether a session may read the history of a channel; middleware is asked as well.

    Raises:
        Refused: It may not.
        RequestFailed: Middleware refused it.
        TypeError: Middleware did neither.
        Exception: Whatever else middleware raises.
    """
    middleware, channel = session.node.app.middlewares, operation.channel
    if not middleware:
        return await _look_up(session, channel)
    rule: ChannelRule | None = None

    async def look_up(asked: ReadRequest) -> None:
        nonlocal rule
        rule = await _look_up(session, asked.channel)

    request = ReadRequest(session.handle, channel, operation.since, operation.before, operation.limit)
    await pass_through(middleware, request, look_up)
    if rule is None:
        raise TypeError(f"middleware neither refused the reading of {channel!r} nor proceeded with it")
    return rule


async def _look_up(session: ServerSession, channel: str) -> ChannelRule:
    await session.node.allow(session, "subscribe", channel)
    return await session.node.allow(session, "history", channel)


def _fitting(rule: ChannelRule, channel: str, reading: pages.Reading, room: int, *, oldest_first: bool) -> list[bytes]:
    """As many as fit, from that end on from which they are wanted."""
    bodies: list[bytes] = []
    entries: Iterable[Entry] = reading.entries if oldest_first else reversed(reading.entries)
    for entry in entries:
        epoch = reading.top.epoch
        body = encode_publication(channel, epoch, entry.offset, entry.data, told(rule.about, entry))
        if not bodies and _length(body) > room:  # PGE-4: there will never be a page for it
            body = encode_body(PositionNotice(channel, epoch, entry.offset))
        room -= _length(body)
        if bodies and room < 0:
            break
        bodies.append(body)
    return bodies


def _length(body: bytes) -> int:
    return len(encode_head(BYTES, len(body))) + len(body)
