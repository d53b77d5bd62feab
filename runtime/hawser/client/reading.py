"""Pages of history, as a client asks for them (SPEC 15.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser.errors import RequestFailed, RequestLost
from hawser.message import Message
from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.messages import (
    HISTORY,
    PositionNotice,
    Publication,
    Read,
    decode_message,
    encode_body,
)

from .operations import Kind, Pending, request_bytes

if TYPE_CHECKING:
    from hawser.pages import Asked, Page
    from hawser_engine.messages import Page as PageMessage

    from .dialogue import Dialogue


async def read_page(dialogue: Dialogue, asked: Asked) -> Page:
    """Ask for a page, and again if the session is reset: nothing comes of asking twice.

    Raises:
        PayloadError: The server does not take so long a message.
        RequestFailed: The server refused it, or gives no pages.
        SessionClosed: The client is closed.
    """

    def encode(id: int) -> bytes:
        if HISTORY not in dialogue.line.features:
            raise RequestFailed(ErrorCode.NOT_FOUND, "the server gives no pages of history")
        return encode_body(Read(id, asked.channel, asked.since, asked.before, asked.limit))

    while True:
        pending = Pending(Kind.READ, asked.channel, request_bytes(asked.channel))
        pending.page = asked
        await dialogue.request(pending, encode)
        try:
            page: Page = await pending.wait()
        except RequestLost:
            continue
        return page


def page_of(asked: Asked, message: PageMessage, messages: list[Message], left_out: list[int]) -> Page:
    """What a PAGE says; the last two are what `taken_out` has found in it."""
    return asked.page(message.position, message.first, messages, more=message.more, left_out=left_out)


def taken_out(message: PageMessage) -> tuple[list[Message], list[int]]:
    """What stands in a PAGE: publications, and the offsets of those that are too long for it.

    Raises:
        RemoteProtocolError: It has something else than publications in it, and positions of such (PGE-4).
    """
    messages: list[Message] = []
    left_out: list[int] = []
    for body in message.publications:
        match decode_message(body):
            case Publication() as one:
                messages.append(Message(one.channel, one.epoch, one.offset, one.data, one.about))
            case PositionNotice() as one:
                left_out.append(one.offset)
            case _:
                detail = "saw something else than publications in a PAGE"
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "PGE-4", detail, "PAGE")
    return messages, left_out
