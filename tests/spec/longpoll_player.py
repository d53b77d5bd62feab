"""Plays the long-poll scenes against the engine's binding, with the session's state machine behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hawser_engine import State
from hawser_engine.bindings.longpoll import Browsers, Exchange, Fields, PollService, ServerPoll
from hawser_engine.bindings.longpoll.fields import header_text
from tests.spec.scenario_patterns import listed
from tests.spec.scenario_player import Player

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser_engine.bindings.http import Reply

PATIENCE_SECONDS = 30.0
_OVER = (State.CLOSING, State.CLOSED)


class PollPlayer(Player):
    """One scene on its way."""

    def __init__(self, scenario: dict[str, Any], random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(scenario, random_bytes)
        self.browsers = Browsers(self.config.get("origins", ()))
        self.service = PollService()
        self.polls: dict[str, ServerPoll] = {}
        self.parted: set[str] = set()
        self.asked: dict[str, Exchange] = {}
        self.answered: dict[str, Reply] = {}

    def do_request(self, request: dict[str, Any]) -> None:
        name, method = request["name"], request["method"]
        headers = [(key, self.header(value)) for key, value in request["headers"].items()]
        if method == "OPTIONS":
            self.answered[name] = self.browsers.preflight(dict(headers).get("origin"))
            return
        body = self.names.written_out(request.get("hex", ""))
        exchange = self.asked[name] = self.service.begin(method, Fields.written(headers), len(body))
        if exchange.reply is None:
            self.service.receive(exchange, body)
        for poll in self.service.arrivals():
            assert self.server is not None
            end = self.links[name] = self.server.connect(self.now)
            end.pong_wait = PATIENCE_SECONDS
            self.polls[name] = poll

    def header(self, value: str | dict[str, str]) -> str:
        if isinstance(value, str):
            return value
        kind, chosen = self.names.chosen[value["bytes"]]
        assert kind == "bytes"
        return header_text(chosen)

    def drain(self) -> None:
        busy = True
        while busy:
            super().drain()
            busy = False
            for name, poll in self.polls.items():
                busy |= self.drain_poll(name, poll)
        for name, exchange in list(self.asked.items()):
            if exchange.reply is not None:
                self.answered[name] = exchange.reply
                del self.asked[name]
        self.ended.clear()  # what a link is here ends with its session's word

    def drain_poll(self, name: str, poll: ServerPoll) -> bool:
        link = self.links[name]
        said = self.sent.pop(name, b"")
        poll.send([said] if said else [])
        batches = poll.batches()
        for batch in batches:
            link.receive_batch(batch, self.now)
            super().drain()
            more = self.sent.pop(name, b"")
            poll.send([more] if more else [])
        poll.taken()
        if (poll.over or link.state in _OVER) and name not in self.parted:
            self.parted.add(name)
            self.over.add(name)
            link.receive_eof(self.now)
            poll.close()
            if not poll.lingering:
                self.service.end(poll)
            return True
        return bool(said or batches)

    def compare(self, expected: list[dict[str, Any]], where: str) -> None:
        wanted = {step["response"]["to"]: step["response"] for step in expected if "response" in step}
        answered, self.answered = self.answered, {}
        assert answered.keys() == wanted.keys(), f"{where}: answered {answered}, wanted {list(wanted)}"
        for name, response in wanted.items():
            reply, place = answered[name], f"{where}, to {name}"
            headers = dict(reply.headers)
            assert len(headers) == len(reply.headers), place
            assert reply.status == response["status"], f"{place}: {reply}"
            assert {key: headers.get(key) for key in response["headers"]} == response["headers"], place
            assert not headers.keys() & set(response["absent"]), f"{place}: {headers}"
            assert headers.keys() >= set(response.get("has", ())), f"{place}: {headers}"
            self.names.match(listed(response.get("hex", "")), reply.body, place)
        super().compare([step for step in expected if "response" not in step], where)
