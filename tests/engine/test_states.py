"""The state table: every pair is decided, and nothing moves a connection but the table (SPEC 16)."""

import itertools

import pytest

from hawser_engine.errors import LocalProtocolError, RemoteProtocolError
from hawser_engine.link import RCVD, SENT
from hawser_engine.packets import PACKETS
from hawser_engine.states import TRANSITIONS, ConnectionState, Input, State

PAIRS = list(itertools.product(State, Input))
ENDS = {State.CLOSING, State.CLOSED}


def at(state: State) -> ConnectionState:
    machine = ConnectionState()
    machine.current = state
    return machine


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda each: each.name)
def test_every_pair_is_decided(state: State, event: Input) -> None:
    """SPEC PKT-10."""
    machine = at(state)
    target = TRANSITIONS[state].get(event)
    assert machine.allows(event) is (target is not None)
    if target is not None:
        assert machine.fire(event) is target
        assert machine.current is target
        return
    error = RemoteProtocolError if event.value.startswith("rcvd") else LocalProtocolError
    with pytest.raises(error, match=rf"{state.name}, .*SPEC PKT-10"):
        machine.fire(event)
    assert machine.current is state


def test_a_connection_starts_unattached() -> None:
    """SPEC ATT-1."""
    assert ConnectionState().current is State.IDLE


@pytest.mark.parametrize("state", [state for state in State if state not in ENDS], ids=lambda each: each.name)
def test_close_and_the_end_of_the_link_are_possible_everywhere(state: State) -> None:
    """SPEC CLS-3, CAR-31."""
    assert at(state).fire(Input.SENT_CLOSE) is State.CLOSING
    assert at(state).fire(Input.RCVD_CLOSE) is State.CLOSED
    assert at(state).fire(Input.LINK_LOST) is State.CLOSED


def test_after_close_nothing_is_left_but_the_end() -> None:
    """SPEC CLS-3."""
    assert TRANSITIONS[State.CLOSING] == {Input.LINK_LOST: State.CLOSED}
    assert TRANSITIONS[State.CLOSED] == {}


@pytest.mark.parametrize("state", [State.OPENING, State.RESUMING], ids=lambda each: each.name)
def test_between_the_attach_and_its_answer_a_client_sends_only_close(state: State) -> None:
    """SPEC ATT-2."""
    sent = {event for event in TRANSITIONS[state] if event.value.startswith("sent")}
    answers = {Input.SENT_OPENED, Input.SENT_RESUMED, Input.SENT_RESET}
    assert sent - answers == {Input.SENT_CLOSE}


def test_messages_flow_only_on_a_connection_with_a_session() -> None:
    """SPEC ATT-1, NUM-1."""
    sending = {state for state in State if Input.SENT_MESSAGE in TRANSITIONS[state]}
    assert sending == {State.PROVING, State.ATTACHED}
    assert Input.RCVD_MESSAGE not in TRANSITIONS[State.PROVING]


def test_every_packet_has_its_two_inputs() -> None:
    assert set(RCVD) == set(SENT) == set(PACKETS.values())
    assert {*RCVD.values(), *SENT.values(), Input.LINK_LOST} == set(Input)


def test_every_state_can_be_reached() -> None:
    reached = {State.IDLE}
    for _ in State:
        reached |= {target for state in reached for target in TRANSITIONS[state].values()}
    assert reached == set(State)
