"""Idempotency keys that clients make: no two clients make the same, and none makes one twice (SPEC PUB-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser import App, connect
from hawser.client.keys import KeyMaker
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


def test_a_key_is_128_random_bits_and_a_counter() -> None:
    asked: list[int] = []

    def draw(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    keys = KeyMaker(draw)
    made = [keys.next() for _ in range(3)]
    assert asked == [16]
    assert made == [bytes(range(16)) + number.to_bytes(8, "big") for number in (1, 2, 3)]


async def test_two_anonymous_clients_never_use_the_same(autojump_clock: MockClock) -> None:
    """Both are one principal, for which a key holds: of equal ones the second would be answered as a duplicate."""
    app = App()
    app.channel("room", history=100, open=True)
    app.mailbox("agent:clerk", open=True)
    async with serving(app), connect(URL) as one, connect(URL) as other:
        for number in range(1, 21, 2):
            for client, expected in ((one, number), (other, number + 1)):
                published = await client.publish("room", number)
                posted = await client.post("agent:clerk", number)
                assert (published.position.offset, published.duplicate) == (expected, False)
                assert (posted.position.offset, posted.duplicate) == (expected, False)
