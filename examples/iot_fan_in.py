"""An IoT fan-in: a hundred devices report over links that keep breaking, and one collector has each reading once.

A device measures whether it has a link or not, for it has an outbox. In the middle its battery is empty: it begins
again behind the last reading of which it knows that the server has it, and whatever it sends a second time has the same
key, so it counts once. The collector knows no site: it subscribes to a pattern.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser import App, Outbox, Principal, Receipt, connect, serve
from hawser.testing import CutKind, FaultyNetwork, run_seeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser import Client

URL = "memory://plant"
SITES = 10
DEVICES = 10
READINGS = 12

app = App()
app.channel("site:*", history=1_000, open=True)


@app.authenticate
async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
    """Believe every device its name; keys are remembered for each of them."""
    return Principal(credentials["token"])


@attrs.define
class Device:
    """One sensor."""

    site: int
    name: str
    known: int = 0
    """What its flash memory holds: so many readings the server has for sure."""

    async def live(self, network: FaultyNetwork) -> None:
        """Report until the battery is empty, and then until everything is reported."""
        for seconds in (READINGS / 2, inf):
            with trio.move_on_after(seconds):
                async with connect(URL, token=self.name, transport=network, outbox=Outbox(), wait=False) as client:
                    await self.report(client)

    async def report(self, client: Client) -> None:
        """Measure once a second, and never wait for the server."""
        send, receive = trio.open_memory_channel[Receipt](READINGS)
        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(self.note, receive)
            for number in range(self.known + 1, READINGS + 1):
                reading = {"device": self.name, "number": number, "celsius": 20 + number % 7}
                key = f"reading {number}".encode()
                await send.send(await client.submit(f"site:{self.site}:temperature", reading, key=key))
                await trio.sleep(1)

    async def note(self, receipts: trio.MemoryReceiveChannel[Receipt]) -> None:
        """Note what the server has."""
        async for receipt in receipts:
            await receipt.wait()
            self.known += 1


async def collect(network: FaultyNetwork, *, task_status: trio.TaskStatus[None]) -> None:
    """Take every reading of every site: a `Gap` would be raised, and the numbers of a device leave no doubt."""
    numbers: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    async with connect(URL, token="collector", transport=network) as client:
        async with client.subscribe("site:*:temperature") as readings:
            task_status.started()
            while sites.total() < SITES * DEVICES * READINGS:
                message = await readings.receive()
                device, number = message.data["device"], message.data["number"]
                assert number == numbers[device] + 1, f"{device} has sent {number} after {numbers[device]}"
                numbers[device] = number
                sites[message.channel] += 1
            with trio.move_on_after(60):
                raise AssertionError(f"{await readings.receive()} comes twice")
    print(f"{sites.total()} readings of {len(numbers)} devices at {len(sites)} sites: each once, and in order")


async def weather(network: FaultyNetwork, **storm: Any) -> None:
    """Break links for as long as the devices measure, in every way in which a link breaks."""
    with trio.move_on_after(READINGS):
        await network.storm(**storm)


async def main() -> None:
    """Let the devices report while their links, and that of the collector, break again and again."""
    devices = [Device(site, f"sensor {site}/{number}") for site in range(SITES) for number in range(DEVICES)]
    async with (
        FaultyNetwork(delay_seconds=(0.0, 0.2)) as field,
        FaultyNetwork() as office,
        trio.open_nursery() as world,
    ):
        await world.start(serve, app, URL)
        await world.start(collect, office)
        world.start_soon(partial(weather, field, every_seconds=0.08, kinds=tuple(CutKind)))
        world.start_soon(partial(weather, office, every_seconds=3))
        async with trio.open_nursery() as plant:
            for device in devices:
                plant.start_soon(device.live, field)
        print(f"every device knows that the server has {min(device.known for device in devices)} readings of it")
        print("links were cut:", "more than a hundred times" if field.cuts > 100 else field.cuts)
        await trio.sleep(120)
        world.cancel_scope.cancel()


if __name__ == "__main__":
    run_seeded(main, seed=1)
