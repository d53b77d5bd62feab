"""A slow dashboard: it takes two messages, and then nothing until 200 are published, by each of the three policies.

Whatever the policy, the publisher and the quick dashboard do not wait for it.
"""

from __future__ import annotations

import trio

from hawser import App, Client, Config, Gap, Server, connect, serve

URL = "memory://gauges"
READINGS = 200
GAUGES = ("depth", "heading", "speed", "wind")

app = App()
app.channel("catch-up:*", history=1_000, about=["latest_key"], open=True)
app.channel("drop-oldest:*", about=["latest_key"], open=True)
app.channel("keep-latest:*", history=1_000, overflow="keep-latest", open=True)

SLOW = Config(subscription_messages=2)
"""Two messages wait for the program, and then its client asks for a pause."""


async def measure(client: Client, channel: str) -> None:
    """Publish readings of all gauges in turn."""
    for number in range(READINGS):
        await client.publish(channel, number, latest_key=GAUGES[number % len(GAUGES)])


async def compare(policy: str, publisher: Client, quick: Client, slow: Client) -> None:
    """Let both dashboards read a channel of one policy, the slow one only when everything is published."""
    channel = f"{policy}:bridge"
    async with quick.subscribe(channel) as live, slow.subscribe(channel) as late:
        await measure(publisher, channel)
        assert [(await live.receive()).data for _ in range(READINGS)] == list(range(READINGS))
        told: list[str] = []
        count = last = 0
        while last < READINGS:
            try:
                last = (await late.receive()).offset
                count += 1
            except Gap as gap:
                told.append(f"{count} readings, then a gap up to {gap.position.offset}")
                count = 0
        print(f"{policy}:", ", then ".join([*told, f"{count} readings"]))


async def main() -> None:
    """Compare the policies, and show what the server has counted."""
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(serve, app, URL)
        async with connect(URL) as publisher, connect(URL) as quick, connect(URL, config=SLOW) as slow:
            for policy in ("catch-up", "drop-oldest", "keep-latest"):
                await compare(policy, publisher, quick, slow)
        for pattern, counts in server.overflow.items():
            print(f"{pattern} lost {counts.lost}, replaced {counts.replaced}")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
