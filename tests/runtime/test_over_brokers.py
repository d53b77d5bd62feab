"""A suite over each broker is over that broker, and a store in it is a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser.brokers import MemoryBroker
from hawser.brokers.sqlite import SqliteBroker
from tests.runtime.helpers import open_app, serving
from tests.runtime.test_late_brokers import LateBroker

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

KINDS: Final = {"memory": MemoryBroker, "sqlite": SqliteBroker, "late": LateBroker}


def files(folder: Path) -> int:
    return len(list(folder.glob("*.db")))


async def test_an_app_that_is_given_no_broker_has_that_of_its_suite(
    autojump_clock: MockClock, each_broker: str, tmp_path: Path
) -> None:
    one, other = open_app(), open_app()
    assert type(one.broker) is type(other.broker) is KINDS[each_broker]
    async with serving(one), serving(other, url="memory://other"):
        assert (await one.publish("room", 1)).position.offset == 1
        assert (await other.publish("room", 1)).position.offset == 1
        assert files(tmp_path) == (2 if each_broker == "sqlite" else 0)
