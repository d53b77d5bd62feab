"""Letters on their way to the store: checked, and answered when they are stored (SPEC MBX-2).

What is posted comes this way, and so does what was sent and nobody took (ADR-10): there is one way into a mailbox.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from hawser.brokers import Letter as StoredLetter
from hawser.brokers import LetterTooLarge, MailboxFull, Published
from hawser.brokers.mailboxes import dead_letter
from hawser.calls import Refused, chosen_error_body
from hawser.errors import RequestFailed
from hawser.mailboxes import is_mailbox, no_mailbox, rule_of
from hawser.middleware import PostRequest, pass_through
from hawser_engine.cbor import BYTES, MAX_INTEGER, encode_head
from hawser_engine.channels.entries import Entry, publication_bytes, told
from hawser_engine.codes import ErrorCode
from hawser_engine.mailboxes import Letter
from hawser_engine.messages import Position, encode_body
from hawser_engine.messages import Published as PublishedMessage

if TYPE_CHECKING:
    from hawser.app import App
    from hawser.brokers import Posting
    from hawser_engine.mailboxes import Post

    from .sessions import ServerSession


async def post(session: ServerSession, operation: Post) -> bytes:
    """Carry out a POST; returns its answer.

    Raises:
        Refused: Nothing is stored.
        BrokerUnavailable: Nothing is stored.
    """
    seconds = inf if operation.ttl_ms is None else operation.ttl_ms / 1_000
    try:
        stored = await deposit(session, operation.mailbox, operation.data, operation.key, seconds)
    except RequestFailed as error:
        return chosen_error_body(operation.id, error)
    return encode_body(PublishedMessage(operation.id, stored.position, stored.duplicate))


async def deposit(
    session: ServerSession, mailbox: str, data: bytes, key: bytes | None, seconds: float = inf
) -> Published:
    """Put a letter of a session into a mailbox, if it may; with middleware around it where there is any.

    Args:
        session: Who posts it.
        mailbox: Where it is to be.
        data: The payload.
        key: The idempotency key as the client gave it.
        seconds: How long it is worth being delivered, if the mailbox does not say less.

    Raises:
        Refused: Nothing is stored.
        RequestFailed: Nothing is stored, as middleware has it.
        BrokerUnavailable: Nothing is stored.
    """
    middleware = session.node.app.middlewares
    if not middleware:
        return await _deposit(session, mailbox, data, key, seconds)
    request = PostRequest(session.handle, mailbox, key, seconds, raw=data)
    stored = await pass_through(
        middleware, request, lambda asked: _deposit(session, asked.mailbox, asked.raw, asked.key, asked.ttl)
    )
    if not isinstance(stored, Published):
        raise TypeError(f"middleware returned {stored!r} for a letter, not what proceed() returned")
    return stored


async def _deposit(session: ServerSession, mailbox: str, data: bytes, key: bytes | None, seconds: float) -> Published:
    node, principal = session.node, session.handle.principal
    rule = await node.mailboxes.allow(session, "post", mailbox)
    posting = rule.posting(mailbox, data, principal, key, seconds)
    try:
        _check_length(node.app, posting, node.config.message_bytes)
        return await node.app.broker.mailboxes.post(posting)
    except MailboxFull as error:
        raise no_room(error) from None


async def deposit_from(app: App, mailbox: str, data: bytes, key: bytes | None, seconds: float = inf) -> Published:
    """Put a letter of the application into a mailbox; nobody is asked whether it may.

    Args:
        app: The application.
        mailbox: As for `deposit`.
        data: As there.
        key: As there.
        seconds: As there.

    Raises:
        LookupError: No declared pattern matches the mailbox.
        LetterTooLarge: Nothing is stored, nor would be later.
        MailboxFull: Nothing is stored.
        BrokerUnavailable: Nothing is stored.
    """
    rule = rule_of(app.mailbox_rules, mailbox)
    if rule is None:
        raise LookupError(no_mailbox(mailbox) + ("; declare it with App.mailbox" if is_mailbox(mailbox) else ""))
    posting = rule.posting(mailbox, data, None, key, seconds)
    for node in app.nodes:
        _check_length(app, posting, node.config.message_bytes)
    return await app.broker.mailboxes.post(posting)


def no_room(error: MailboxFull) -> Refused:
    """What a sender is told of a mailbox that has no room for its letter; it waits only for what may come (MBX-11)."""
    if isinstance(error, LetterTooLarge):
        return Refused(ErrorCode.TOO_LARGE, str(error))
    return Refused(ErrorCode.BUSY, str(error), temporary=True)


def _check_length(app: App, posting: Posting, most: int) -> None:
    """Refuse a letter that could not be given, or published when it is dead, whatever its place will be (MBX-11).

    Raises:
        LetterTooLarge: It is one.
    """
    dead = posting.keeping.dead
    if _letter_bytes(posting) > most:
        raise LetterTooLarge(f"a letter has at most {most} bytes in all")
    if dead is not None and _dead_bytes(app, posting, dead.channel) > most:
        raise LetterTooLarge(f"a letter has at most {most} bytes in all, also as a dead letter")


def _letter_bytes(posting: Posting) -> int:
    """How long the LETTER is at most."""
    said = posting.sender, MAX_INTEGER, MAX_INTEGER, b""
    return _with_data(len(encode_body(Letter(posting.mailbox, bytes(8), MAX_INTEGER, *said))), len(posting.data))


def _dead_bytes(app: App, posting: Posting, channel: str) -> int:
    """How long the PUBLICATION of the dead letter is at most."""
    rule, position = app.rule_for(channel), Position(bytes(8), MAX_INTEGER)
    letter = StoredLetter(position, b"", posting.sender, MAX_INTEGER, MAX_INTEGER)
    data = _with_data(len(dead_letter(posting.mailbox, letter, "EXPIRED")), len(posting.data))
    about = None if rule is None else told(rule.about, Entry(MAX_INTEGER, b"", MAX_INTEGER))
    return _with_data(publication_bytes(channel, MAX_INTEGER, b"", about), data)


def _with_data(without: int, size: int) -> int:
    """How long something is with so many bytes in the place of none."""
    return without - 1 + len(encode_head(BYTES, size)) + size
