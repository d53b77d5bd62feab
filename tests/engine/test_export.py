"""A session that is exported and restored cannot be told on the wire from one that was merely cut (SPEC EXP-3)."""

from typing import Any, TypeAlias

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from hawser_engine import BacklogFull, Client, EngineConfig, Server, Session
from hawser_engine.packets import Packet
from tests.engine.pair import INCARNATION, Pair

CONFIG = EngineConfig(
    window_messages=4, window_bytes=100_000, queue_messages=5, messages_burst=3, messages_per_second=4
)
Action: TypeAlias = tuple[str, bool, int]

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["send", "long", "ttl", "key", "wait", "take", "hold", "deliver", "drop", "connect", "half"]),
        st.booleans(),
        st.integers(0, 50),
    ),
    max_size=25,
)


def sender(pair: Pair, at_client: bool) -> Session | None:
    return pair.client.session if at_client else next(iter(pair.server.sessions.values()), None)


def act(pair: Pair, action: Action, number: int) -> None:
    what, at_client, amount = action
    session = sender(pair, at_client)
    body = b"%d" % number
    policies: dict[str, dict[str, Any]] = {"ttl": {"ttl_seconds": amount / 20}, "key": {"key": "k"}}
    match what:
        case "send" | "long" | "ttl" | "key" if session is not None:
            try:
                session.send(body + bytes(70_000 if what == "long" else 0), pair.now, **policies.get(what, {}))
            except BacklogFull:
                return
            pair.drain()
        case "wait":
            pair.advance(amount / 10)
        case "hold":
            pair.delivering = False
        case "take":
            pair.delivering = True
            for each in (pair.client.session, *pair.server.sessions.values()):
                drawn = each.inbox.undrawn[0][0] - 1 if each.inbox.undrawn else each.inbox.received
                each.delivered(drawn, pair.now)
            pair.drain()
        case "deliver" if pair.wires:
            pair.deliver(pair.wires[-1], to_server=at_client)
        case "half":
            pair.settle()
        case "drop" if pair.wires:
            pair.drop(pair.wires[-1])
        case "connect" if len(pair.wires) < 3:
            pair.connect(settle=False)
        case _:
            return


def restart(pair: Pair, *, at_client: bool, restored: bool) -> None:
    """Cut every link; in one world also export and restore one side."""
    while pair.wires:
        pair.drop(pair.wires[0])
    if not restored:
        return
    if at_client:
        record = cbor2.loads(cbor2.dumps(pair.client.export(pair.now)))
        credentials = pair.client.credentials
        pair.client = Client(CONFIG, pair.now, credentials=credentials)
        pair.client.restore(record, pair.now)
    else:
        records = [cbor2.loads(cbor2.dumps(each.export(pair.now))) for each in pair.server.sessions.values()]
        assert [cbor2.loads(cbor2.dumps(each)) for each in records] == records
        pair.server = Server(CONFIG, random_bytes=pair.server_random, incarnation=INCARNATION)
        for each in records:
            pair.server.restore(each, pair.now)
    pair.drain()


def history(before: list[Action], behind: list[Action], *, at_client: bool, restored: bool) -> list[list[Packet]]:
    pair = Pair(CONFIG)
    seen: list[list[Packet]] = []
    connect = pair.connect

    def watched(*, settle: bool = True) -> Any:
        wire = connect(settle=settle)
        seen.extend([wire.by_client, wire.by_server])
        return wire

    pair.connect = watched  # type: ignore[method-assign]  # so that links that are gone are seen too
    pair.connect()
    for number, action in enumerate(before):
        act(pair, action, number)
    restart(pair, at_client=at_client, restored=restored)
    for number, action in enumerate(behind, 100):
        act(pair, action, number)
    pair.delivering = True
    pair.connect()
    pair.advance(10.0)
    return seen


@settings(max_examples=settings().max_examples * 8 // 10)
@given(before=ACTIONS, behind=ACTIONS, at_client=st.booleans())
def test_a_restored_session_is_indistinguishable_on_the_wire(
    before: list[Action], behind: list[Action], at_client: bool
) -> None:
    """SPEC EXP-3, EXP-4."""
    cut = history(before, behind, at_client=at_client, restored=False)
    restored = history(before, behind, at_client=at_client, restored=True)
    assert restored == cut
