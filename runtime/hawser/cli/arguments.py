"""What the words of a command line mean: the URL and its transport, a position, a value within bounds.

Rule: what is wrong is refused before anything is opened, in one line that names the fix.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from hawser.principals import check_name
from hawser_engine.messages import Position
from hawser_transports import LongPollTransport, find_transport

from . import WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hawser_transports import Transport

Choice: TypeAlias = Literal["auto", "ws", "poll"]
"""Which transport: whichever works of what the URL's scheme offers, WebSocket only, long-poll only."""

URL_VARIABLE: Final = "HAWSER_URL"
TOKEN_VARIABLE: Final = "HAWSER_TOKEN"
EXAMPLE_URL: Final = "http://127.0.0.1:8000"

OFFSET_MAX: Final = 2**53
"""The highest offset of a channel (SPEC PKT-6)."""

_WEBSOCKET: Final[Mapping[str, str]] = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_POLLED: Final[Mapping[str, str]] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@attrs.frozen
class Place:
    """Where a server is, and how it is to be reached."""

    url: str
    polled: bool = False
    """By long-poll only; otherwise as the scheme says."""

    def transport(self) -> Transport:
        """The transport that goes there.

        Raises:
            UnknownSchemeError: No transport serves the URL's scheme.
        """
        return LongPollTransport() if self.polled else find_transport(self.url)


@attrs.frozen
class Since:
    """A place in a channel; without an epoch, in the one that the channel has when it is asked."""

    offset: int
    epoch: bytes | None = None

    def position(self, present: bytes) -> Position:
        """The place in full.

        Args:
            present: The channel's epoch.
        """
        return Position(present if self.epoch is None else self.epoch, self.offset)


def split_url(words: Sequence[str], choice: Choice, *, usage: str) -> tuple[Place, list[str]]:
    """Tell the URL from what follows it, and how its server is reached.

    Args:
        words: What stands on the command line; the first is the URL if it looks like one, else the environment has it.
        choice: The transport that was asked for.
        usage: How the command is written, for the message.

    Raises:
        CommandFailed: There is no URL, or the transport does not fit it.
    """
    if words and "://" in words[0]:
        url, rest = words[0], list(words[1:])
    else:
        url, rest = os.environ.get(URL_VARIABLE, ""), list(words)
    if not url:
        raise CommandFailed(f"no URL: write {usage}, with a URL like {EXAMPLE_URL}, or set {URL_VARIABLE}", WRONG_USAGE)
    return choose_transport(url, choice), rest


def choose_transport(url: str, choice: Choice) -> Place:
    """The place of a URL by the wanted transport.

    Raises:
        CommandFailed: The transport does not fit the URL.
    """
    scheme, separator, rest = url.partition("://")
    if choice == "auto":
        return Place(url)
    polled = choice == "poll"
    wanted = (_POLLED if polled else _WEBSOCKET).get(scheme)
    if wanted is None:
        raise CommandFailed(f"--transport {choice}: {url} is no http or ws URL, so leave --transport out", WRONG_USAGE)
    return Place(wanted + separator + rest, polled)


def named(what: str, name: str) -> str:
    """Refuse what is no name of a channel or a procedure.

    Raises:
        CommandFailed: It is empty, too long, or no text.
    """
    try:
        return check_name(what, name)
    except ValueError as error:
        raise CommandFailed(str(error), WRONG_USAGE) from None


def token() -> str | None:
    """The token of the environment, or None if it has none."""
    return os.environ.get(TOKEN_VARIABLE) or None


def parse_since(text: str, channels: int) -> Since:
    """Read ``OFFSET`` or ``EPOCH:OFFSET``.

    Args:
        text: What was given; the epoch as ``hawser sub`` prints it.
        channels: To how many channels it applies.

    Raises:
        CommandFailed: It is no position, or an epoch is to hold for several channels.
    """
    match = re.fullmatch(r"(?:([0-9a-fA-F]{16}):)?([0-9]{1,16})", text, re.ASCII)
    if match is None or int(match[2]) > OFFSET_MAX:
        raise CommandFailed(
            f"--since {text!r}: write OFFSET or EPOCH:OFFSET, the epoch in 16 hexadecimal digits as hawser sub prints "
            "it; --since 0 begins with the oldest message that is kept",
            WRONG_USAGE,
        )
    if match[1] and channels > 1:
        raise CommandFailed("--since EPOCH:OFFSET: each channel has its own epoch, so name one channel", WRONG_USAGE)
    return Since(int(match[2]), bytes.fromhex(match[1]) if match[1] else None)


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number out of bounds.

    Raises:
        CommandFailed: It is below ``low`` or above ``high``.
    """
    if not low <= value <= high:
        raise CommandFailed(f"{name} is {value:.16g}; it must be from {low:.16g} to {high:.16g}", WRONG_USAGE)
