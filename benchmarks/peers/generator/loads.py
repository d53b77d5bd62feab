"""The loads: closed loops, so that a slow server is asked for less and never has a backlog."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from .room import Subscriber

if TYPE_CHECKING:
    from .room import Outcome, Room

__all__ = ["Bounds", "echo", "fanout"]


@frozen
class Bounds:
    """When a load begins nothing more, whichever comes first."""

    seconds: float
    count: int
    """Publications, or echoes."""


def fanout(room: Room, in_flight: int, warm_up: int, bounds: Bounds) -> Outcome:
    """Keep a number of publications under way; the next leaves when one has reached every subscriber."""
    _publish_all(room, in_flight, Bounds(bounds.seconds, warm_up))
    return room.measured(f"fan-out, {in_flight} in flight", partial(_publish_all, room, in_flight, bounds))


def echo(room: Room, warm_up: int, bounds: Bounds) -> Outcome:
    """Let everybody who echoes wait for an answer, and ask again."""
    _echo_all(room, Bounds(bounds.seconds, warm_up))
    return room.measured("echo", partial(_echo_all, room, bounds))


def _publish_all(room: Room, in_flight: int, bounds: Bounds) -> int:
    publisher = room.publisher
    assert publisher is not None
    deadline = time.monotonic() + bounds.seconds
    start = room.subscribers[0].count
    published = landed = 0
    missing: deque[int] = deque()  # for each publication under way: how many subscribers do not have it yet
    while True:
        leaving: list[bytes] = []
        while len(missing) < in_flight and published < bounds.count and time.monotonic() < deadline:
            leaving.append(publisher.conversation.publication())
            missing.append(len(room.subscribers))
            published += 1
        if leaving:
            publisher.write(b"".join(leaving))
        if not missing:
            return published * len(room.subscribers)
        for member in room.arrivals():
            new = member.take()
            if isinstance(member, Subscriber):
                end = member.count - start - landed
                for place in range(end - new, end):
                    missing[place] -= 1
        while missing and not missing[0]:
            missing.popleft()
            landed += 1


def _echo_all(room: Room, bounds: Bounds) -> int:
    deadline = time.monotonic() + bounds.seconds
    asked = answered = 0
    for talker in room.echoers:
        talker.write(talker.conversation.request())
        asked += 1
    while answered < asked:
        for member in room.arrivals():
            # Idle subscribers may hear something too, but no answers.
            for _ in range(member.take()):
                answered += 1
                if asked < bounds.count and time.monotonic() < deadline:
                    member.write(member.conversation.request())
                    asked += 1
    return answered
