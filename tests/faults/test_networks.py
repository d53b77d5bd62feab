"""Hostile networks between real programs: whatever packets meet, every message is printed once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.emulator import Conditions
from tests.faults.exchange import QUICK
from tests.faults.journey import Traffic
from tests.faults.networks import CARRIAGES, NEAR, NETWORKS, Network, cross, cross_by_proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.networks import Outcome

pytestmark = pytest.mark.slow

SHORT = Traffic(300, 3.0)


def check_cost(outcome: Outcome) -> None:
    """A meter that sees less than what was carried is broken."""
    assert outcome.bytes_sent > outcome.journey.payload_bytes


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize(
    ("carriage", "conditions"),
    [
        ("ws", NETWORKS["loss-10"].conditions),
        ("poll", Conditions(up_seconds=1.5, down_seconds=0.5, delay_seconds=NEAR)),
        ("ws", Conditions(address_seconds=2.5, delay_seconds=NEAR)),
    ],
    ids=["loss", "blackhole", "address-change"],
)
async def test_a_hostile_network_costs_no_message(carriage: str, conditions: Conditions, tmp_path: Path) -> None:
    """The most telling ones, with waits shortened: loss, silence, connections that are dead and do not know."""
    check_cost(await cross(Network(title="", conditions=conditions, traffic=SHORT), carriage, tmp_path, config=QUICK))


async def test_what_a_proxy_can_do_of_it_costs_no_message_either(tmp_path: Path) -> None:
    conditions = Conditions(up_seconds=1.5, down_seconds=0.5, delay_seconds=NEAR)
    network = Network(title="", conditions=conditions, traffic=SHORT, retransmitted=0.1)
    check_cost(await cross_by_proxy(network, "ws", tmp_path, config=QUICK))


@pytest.mark.verify
@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("carriage", CARRIAGES)
@pytest.mark.parametrize("name", NETWORKS)
async def test_every_hostile_network_costs_no_message(name: str, carriage: str, tmp_path: Path) -> None:
    """In full, and with every default."""
    check_cost(await cross(NETWORKS[name], carriage, tmp_path))


@pytest.mark.verify
@pytest.mark.parametrize("carriage", CARRIAGES)
@pytest.mark.parametrize("name", ["loss-30", "rtt-1500", "rate-limit", "blackhole", "address-change"])
async def test_the_same_by_proxy_where_there_are_no_namespaces(name: str, carriage: str, tmp_path: Path) -> None:
    check_cost(await cross_by_proxy(NETWORKS[name], carriage, tmp_path))
