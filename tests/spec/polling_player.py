"""Plays the long-poll scenes of a client against the engine's binding, with the session's state machine behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hawser_engine import State
from hawser_engine.bindings.http import Reply, Request
from hawser_engine.bindings.longpoll import ClientPoll, Retry
from tests.spec.scenario_patterns import listed
from tests.spec.scenario_player import Player

if TYPE_CHECKING:
    from collections.abc import Callable


class PollingPlayer(Player):
    """One scene on its way; it drives the binding as any driver does."""

    OUTPUTS = ("request", "event", "closed")

    def __init__(self, scenario: dict[str, Any], random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(scenario, random_bytes)
        self.polls: dict[str, ClientPoll] = {}
        self.asked: dict[str, tuple[str, Request]] = {}
        self.made: list[tuple[str, Request]] = []
        self.waiting: list[tuple[float, str, Request]] = []

    def do_connect(self, link: str) -> None:
        self.polls = {}  # a newer link has the session: the one before is left without a word (SPEC ATT-15)
        super().do_connect(link)
        self.polls[link] = ClientPoll()

    def do_drop(self, link: str) -> None:
        del self.polls[link]
        super().do_drop(link)

    def do_response(self, response: dict[str, Any]) -> None:
        link, request = self.asked.pop(response["to"])
        body = self.names.written_out(response.get("hex", ""))
        if link in self.polls:
            reply = Reply(response["status"], tuple(response["headers"].items()), body)
            self.repeat(link, request, self.polls[link].receive(request, reply))

    def do_fail(self, name: str) -> None:
        link, request = self.asked.pop(name)
        if link in self.polls:
            self.repeat(link, request, self.polls[link].fail(request))

    def repeat(self, link: str, request: Request, retry: Retry | None) -> None:
        if retry is None:
            return
        if retry.after_seconds is not None:
            self.waiting.append((self.now + retry.after_seconds, link, request))
        elif (again := self.polls[link].again(request)) is not None:
            self.made.append((link, again))

    def next_timeout(self) -> float | None:
        due = [at for at, _, _ in self.waiting]
        engine = super().next_timeout()
        return min([*due, engine]) if engine is not None else min(due, default=None)

    def tick(self) -> None:
        self.made += [(link, request) for at, link, request in self.waiting if at <= self.now and link in self.polls]
        self.waiting = [each for each in self.waiting if each[0] > self.now]
        super().tick()

    def drain(self) -> None:
        busy = True
        while busy:
            super().drain()
            busy = False
            for link, poll in self.polls.items():
                busy |= self.drain_poll(link, poll)

    def drain_poll(self, link: str, poll: ClientPoll) -> bool:
        end = self.links[link]
        said = self.sent.pop(link, b"")
        poll.send([said] if said else [])
        batches = poll.batches()
        for batch in batches:
            end.receive_batch(batch, self.now)
            super().drain()
            more = self.sent.pop(link, b"")
            poll.send([more] if more else [])
        poll.taken()
        self.made += [(link, request) for request in poll.requests()]
        ended = poll.ended is not None and end.state is not State.CLOSED
        if ended:
            end.receive_eof(self.now)
        return bool(said or batches or ended)

    def compare(self, expected: list[dict[str, Any]], where: str) -> None:
        for wanted in (step["request"] for step in expected if "request" in step):
            place = f"{where}, {wanted['name']}"
            like = (wanted["on"], wanted["method"])
            found = next((each for each in self.made if (each[0], each[1].method) == like), None)
            assert found is not None, f"{place}: made {self.made}"
            self.made.remove(found)
            request = found[1]
            headers = dict(request.headers)
            assert len(headers) == len(request.headers), place
            assert {key: headers.get(key) for key in wanted["headers"]} == wanted["headers"], f"{place}: {headers}"
            assert not headers.keys() & set(wanted["absent"]), f"{place}: {headers}"
            self.names.match(listed(wanted.get("hex", "")), request.body, place)
            self.asked[wanted["name"]] = found
        assert not self.made, f"{where}: made {self.made} too much"
        super().compare([step for step in expected if "request" not in step], where)
