"""How to test an application of yours: real server, real clients, a network that breaks, and no waiting.

Run it with ``pytest -p hawser.testing.plugin examples/test_a_chat.py``.
"""

import pytest
import trio

from hawser import App, Client, Session, connect, serve
from hawser.testing import CutKind, FaultyNetwork

URL = "memory://chat"
LINES = 20


def make_app() -> App:
    """The application under test: a room that everybody may read, and a procedure that says who wrote how much."""
    app = App()
    app.channel("room:*", history=1_000, open=True)

    @app.procedure("say")
    async def say(session: Session, room: str, text: str) -> int:
        session.data["said"] = session.data.get("said", 0) + 1
        await app.publish(f"room:{room}", {"text": text, "from": session.number})
        return int(session.data["said"])

    return app


@pytest.mark.trio
@pytest.mark.hawser_seeds(20)
async def test_nobody_misses_a_line_whatever_the_network_does(
    autojump_clock: trio.testing.MockClock, faulty_network: FaultyNetwork
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, make_app(), URL)
        async with (
            connect(URL, transport=faulty_network) as alice,
            connect(URL, transport=faulty_network) as bob,
            bob.subscribe("room:harbour") as heard,
        ):
            nursery.start_soon(talk, alice)
            nursery.start_soon(weather, faulty_network)
            with trio.fail_after(600):  # virtual seconds: this takes a moment
                assert [(await heard.receive()).data["text"] for _ in range(LINES)] == [
                    f"line {n}" for n in range(LINES)
                ]
        nursery.cancel_scope.cancel()


async def talk(client: Client) -> None:
    for number in range(LINES):
        said = await client.call("say", "harbour", f"line {number}")
        assert said == number + 1  # each once, though the link broke
        await trio.sleep(0.2)


async def weather(network: FaultyNetwork) -> None:
    await network.storm(every_seconds=0.5, kinds=tuple(CutKind))
