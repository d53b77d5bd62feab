"""A team of three agents that ask each other, and pass on what one of them writes as it is written.

The editor asks the researcher for facts and the writer for sentences, and the writer asks the researcher where a fact
stands. It is killed in the middle of its work and started again under its name. Whoever waits for it is told at once,
and decides what to do: here, to ask for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser import App, CallError, Client, ErrorCode, connect, serve
from hawser.testing import FaultyNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "memory://team"

app = App()
app.agent("*", open=True)
app.directory()

started_again = trio.Event()


KNOWN = {"three strands": 17, "a core": 20, "two ends": 3}


async def search(topic: str) -> list[str]:
    """Find what is known about something."""
    return [f"{topic} has {part}" for part in KNOWN]


async def page(fact: str) -> int:
    """Say where a fact stands."""
    return next(number for part, number in KNOWN.items() if fact.endswith(part))


async def research(*, task_status: trio.TaskStatus[None]) -> None:
    """Run the program of one agent."""
    async with (
        connect(URL, agent=True) as client,
        client.offer("researcher", search, page) as offer,
    ):
        task_status.started()
        await offer.wait()


async def be_the_writer(network: FaultyNetwork, life: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    """Run the program of the second one, over a network that can fail, until it is killed."""
    with life:
        async with connect(URL, transport=network, agent=True) as client:

            async def write(facts: list[str]) -> AsyncIterator[str]:
                """Make a sentence of each fact."""
                for fact in facts:
                    number = await client.call("researcher.page", fact)
                    yield f"{fact[0].upper()}{fact[1:]} (page {number})."
                    await started_again.wait()  # the first writer is so slow that it never gets to the second sentence

            async with client.offer("writer", write, worker="the only one") as offer:
                task_status.started()
                await offer.wait()


async def edit(*, task_status: trio.TaskStatus[None]) -> None:
    """Run the program of the third one, which asks the others."""
    async with connect(URL, agent=True) as client:

        async def explain(topic: str) -> AsyncIterator[str]:
            """Say what is known about something, sentence by sentence."""
            facts = await client.call("researcher.search", topic)
            while facts:
                try:
                    async with client.stream("writer.write", facts) as sentences:
                        async for sentence in sentences:
                            facts = facts[1:]
                            yield sentence
                except CallError as error:
                    if error.code != ErrorCode.CALLEE_LOST:
                        raise
                    print(f"-- the writer is lost; {len(facts)} facts are left --")

        async with client.offer("editor", explain) as offer:
            task_status.started()
            await offer.wait()


async def ask(client: Client, first: trio.Event) -> None:
    """Read what the team says."""
    async with client.stream("editor.explain", "a hawser") as sentences:
        async for sentence in sentences:
            print(sentence)
            first.set()


async def main() -> None:
    """Start everybody, ask, and kill the writer after its first sentence."""
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        await nursery.start(serve, app, URL)
        await nursery.start(research)
        await nursery.start(edit)
        life = trio.CancelScope()
        await nursery.start(be_the_writer, network, life)
        async with connect(URL) as client, trio.open_nursery() as asking:
            print("here are:", *(worker.agent for worker in await client.agents()))
            first = trio.Event()
            asking.start_soon(ask, client, first)
            await first.wait()
            network.refuse()  # so it says no goodbye
            await network.cut()
            life.cancel()
            network.refuse(False)
            started_again.set()
            await nursery.start(be_the_writer, network, trio.CancelScope())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
