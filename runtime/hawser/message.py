"""A publication as programs see it, wherever they have it from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from hawser_engine.messages import Position

from .payloads import decode_payload, payload_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser_engine.messages import About


@attrs.frozen
class Message:
    """A publication, as a subscription yields it."""

    channel: str
    """Where it was published."""
    epoch: bytes
    """The channel's epoch, eight bytes."""
    offset: int
    """Its place in the epoch, from 1 on; the messages of a channel come with rising offsets. Of a volatile one: the
    offset of the last that came before it, in the channel and here."""
    raw: bytes
    """The payload as it travelled."""
    about: About | None = None
    """What it carries beside the payload, as the channel declares; None: nothing."""
    volatile: bool = attrs.field(default=False, kw_only=True)
    """Whether it was given at once or not at all, and is kept nowhere."""

    def __repr__(self) -> str:
        told = {
            "publisher": self.publisher,
            "tags": self.tags,
            "latest_key": self.latest_key,
            "volatile": self.volatile,
        }
        more = "".join(f", {name}={value!r}" for name, value in told.items() if value)
        place = f"offset={self.offset}, epoch={self.epoch.hex()}"
        return f"Message(channel={self.channel!r}, {place}, data={payload_text(self.raw)}{more})"

    @property
    def publisher(self) -> str | None:
        """The id of the principal that published it; None if it is not told, or the application did."""
        return None if self.about is None else self.about.publisher

    @property
    def time(self) -> float | None:
        """When it was published, by the server: seconds since the beginning of 1970 (UTC); None if it is not told."""
        return None if self.about is None or self.about.time_ms is None else self.about.time_ms / 1_000

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that were given with it; empty if none were."""
        return {} if self.about is None or self.about.tags is None else self.about.tags

    @property
    def latest_key(self) -> str | None:
        """What it is the newest of, as it was given with it; None if that was nothing."""
        return None if self.about is None else self.about.latest_key

    @property
    def data(self) -> Any:
        """The payload as a value, decoded at each access.

        Raises:
            PayloadError: The publisher sent something else than a payload of Hawser.
        """
        return decode_payload(self.raw)

    @property
    def position(self) -> Position:
        """Epoch and offset: subscribe with ``since=message.position`` to go on after it."""
        return Position(self.epoch, self.offset)
