"""The network between long-poll clients and the server: one HTTP exchange at a time, each of which may go wrong.

A request or its reply is lost, cut at a byte, doubled by some proxy, refused by another, held, or overtaken by one that
left later. Nothing here knows what an exchange means; the engine's state for both ends does (SPEC CAR-10 to CAR-29).
"""

from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.head import HeadGate, HeadLimits
from hawser_engine.bindings.http import Reply, framing, write_reply, write_request
from hawser_engine.bindings.longpoll import BODY_BYTES, Exchange, Fields, PollService, ServerPoll
from hawser_engine.bindings.replies import ReplyReader, ReplyRefused
from hawser_engine.codec import decode
from hawser_engine.packets import Resume

from .books import Violation
from .chains import Chain
from .coverage import POLLS
from .habits import Carriage, PollPlan
from .mishaps import Mishaps
from .pollcells import meets
from .travels import Travel

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["Polling"]

_PROXY_SAYS: Final = (
    Reply(429, (("retry-after", "1"),)),
    Reply(503, (("retry-after", "1"),)),
    Reply(502, (("content-type", "text/html"),), b"<h1>Bad Gateway</h1>"),
    Reply(200, (("content-type", "text/html"),), b"<h1>Please accept our terms</h1>"),
    Reply(408),
)
"""What something between answers in place of the server; none of it may cost more than a retry (SPEC CAR-24)."""


class Polling:
    """Everything of one world that has to do with long-poll."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.plan = PollPlan.drawn(Random(f"polls of seed {world.seed}"), world.plan)
        self.draw = Random(f"requests of seed {world.seed}").random  # what is drawn here shifts nobody else's draws
        self.mishaps = Mishaps(world)
        self.service = PollService(self.plan.limits)
        self._at_server: dict[Exchange, Travel] = {}  # parked there
        self._waiting: list[Travel] = []  # arrived while the server slept
        self._ghosts = 0

    def carriage_of(self, client: "ClientActor") -> Carriage:
        """Return the kind of the next link of a client."""
        share = self.plan.shares[int(client.label.removeprefix("client"))]
        return Carriage.POLL if share and self.draw() < share else Carriage.STREAM

    def chain(self, label: str) -> Chain:
        """Make a link."""
        return Chain(self, label)

    # From the client to the server

    def send(self, travel: Travel) -> None:
        """Put a request on its way."""
        world, plan, chain, draw = self.world, self.plan, travel.chain, self.draw
        if chain.is_out(0):
            self.lose(travel)
            return
        arrives = world.time + chain.delay(0)
        if not world.quiet:
            choice = draw()
            if choice < plan.lost:
                self.lose(travel)
                return
            choice -= plan.lost
            if choice < plan.refused:
                arrives += chain.delay(1) + self.mishaps.refusal_is_late()
                reply = _PROXY_SAYS[int(draw() * len(_PROXY_SAYS))]
                self.mishaps.returns(travel, reply, arrives, foreign=True)
                world.at(arrives, chain.hear, travel, reply)
                return
            choice -= plan.refused
            if choice < plan.cut:
                world.at(arrives, self._arrive_cut, travel)
                return
            choice -= plan.cut
            if choice < plan.doubled:
                self._double(travel, arrives)
            elif choice - plan.doubled < plan.late:
                arrives += 3.0 * draw() * draw()
            arrives += self.mishaps.leaves(travel)
        world.at(arrives, self.arrive, travel)

    def lose(self, travel: Travel) -> None:
        """Let an exchange break where it is; the client learns it some time, or gives up."""
        if not travel.lost:
            travel.lost = True
            at = travel.chain.fails_at
            if at is not None:
                self.world.at(at, travel.chain.hear, travel, None)

    def _double(self, travel: Travel, arrives: float) -> None:
        """Let a second copy arrive, sooner or later; the client hears the reply to one of them."""
        twin = Travel(travel.chain, travel.request, travel.tries, travel.left)
        twin.copy = twin.doubled = travel.doubled = True
        self.world.at(max(self.world.time, arrives + 2.0 * self.draw() - 0.5), self.arrive, twin)

    def _arrive_cut(self, travel: Travel) -> None:
        """Let a request arrive up to some byte: the server may see its head, and takes nothing."""
        request = travel.request
        data = write_request(request, "example", "/hawser")
        head = HeadGate(request=True, limits=HeadLimits()).receive_data(data[: int(len(data) * self.draw())])
        if head is not None and self._up_and_awake():
            self.service.begin(request.method, Fields.of(head), framing(head).length)
        self.lose(travel)

    def _up_and_awake(self) -> bool:
        server, time = self.world.server, self.world.time
        return time >= server.down_until and server.host.asleep_until <= time

    def arrive(self, travel: Travel) -> None:
        """Let the server take a request."""
        world = self.world
        if travel.lost:
            return
        if world.time < world.server.down_until:
            self.lose(travel)
        elif world.server.host.asleep_until > world.time:
            self._waiting.append(travel)
            world.at(world.server.host.asleep_until, self.wake_server)
        else:
            self._take(travel)

    def wake_server(self) -> None:
        """Let the server take what arrived while it slept."""
        waiting, self._waiting = self._waiting, []
        for travel in waiting:
            self.arrive(travel)

    def _take(self, travel: Travel) -> None:
        self.mishaps.arrives(travel)
        request, service = travel.request, self.service
        exchange = service.begin(request.method, Fields.written(request.headers), len(request.body))
        self._at_server[exchange] = travel
        poll = exchange.poll
        meets(self.world.cells, POLLS, travel, poll)
        if poll is not None and not poll.over:
            home = poll.context
            if isinstance(home, Chain) and poll is home.served and home.ends[1] is not None:
                home.answering.comes(travel, poll)
        elif exchange.reply is not None and exchange.reply.status == 401:
            self._check_unknown(travel)
        if exchange.reply is None:
            service.receive(exchange, request.body)
        for arrival in service.arrivals():
            self._welcome(travel, arrival)
        poll = exchange.poll
        if poll is None:
            self.reply(exchange)
        elif isinstance(poll.context, Chain):
            poll.context.arrived(poll, travel)
        if service.connections > self.plan.limits.connections:
            raise Violation("I4", f"the server has {service.connections} long-poll connections")

    def _check_unknown(self, travel: Travel) -> None:
        """C5: a request that names a living connection is not told that there is none (SPEC CAR-14, CAR-25)."""
        chain = travel.chain
        served, values = chain.served, dict(travel.request.headers)
        if served is None or chain.ends[1] is None or not served.session:
            return
        named = values.get("hawser-session"), values.get("hawser-generation")
        if named == (served.session.decode(), str(served.generation)):
            raise Violation("C5", f"{chain.label} lives, and is answered 401")

    def _welcome(self, travel: Travel, poll: ServerPoll) -> None:
        """Give a new connection its place: the copy of an attach has nobody at its other end."""
        chain = travel.chain
        packet = decode(travel.request.body)
        if travel.copy:
            self._ghosts += 1
            chain = Chain(self, f"{chain.label}+{self._ghosts}", client=False)
        chain.resume = packet if isinstance(packet, Resume) else None
        chain.serve(poll)

    # And back

    def reply(self, exchange: Exchange) -> None:
        """Put the reply to a request on its way."""
        travel = self._at_server.pop(exchange, None)
        assert exchange.reply is not None
        if travel is None:
            return  # its client's connection broke when the server restarted
        poll, served = exchange.poll, travel.served_by
        if poll is not None and isinstance(poll.context, Chain) and poll.context.served is poll and poll.session:
            poll.context.answering.check_fence(poll, travel, exchange.reply)
        if served is not None and isinstance(served.context, Chain):
            served.context.answering.answers(travel, exchange.reply)
        self._answer(travel, exchange.reply)

    def _answer(self, travel: Travel, reply: Reply) -> None:
        world, plan, chain, draw = self.world, self.plan, travel.chain, self.draw
        if travel.lost or travel.copy:
            return
        if world.transcript.wanted:
            chain.say(1, f"replies {reply!r} to number {travel.number}")
        if chain.is_out(1):
            self.lose(travel)
            return
        arrives = world.time + chain.delay(1)
        if not world.quiet:
            choice = draw()
            if choice < plan.lost:
                self.lose(travel)
                return
            choice -= plan.lost
            if choice < plan.cut:
                self._cut(travel, reply)
                return
            if choice - plan.cut < plan.late:
                arrives += 4.0 * draw() * draw()
            arrives += self.mishaps.end_is_late(travel, reply)
            self.mishaps.returns(travel, reply, arrives)
        world.at(arrives, self._back, travel, reply)

    def _back(self, travel: Travel, reply: Reply) -> None:
        if not travel.lost:
            travel.chain.hear(travel, reply)

    def _cut(self, travel: Travel, reply: Reply) -> None:
        """Cut a reply at some byte: what is there must not pass for a reply."""
        data = write_reply(reply, persists=True)
        reader = ReplyReader(travel.request.method, BODY_BYTES)
        kept = data[: int(len(data) * self.draw())]
        try:
            found = (kept and reader.receive_data(kept)) or reader.receive_data(b"")
        except ReplyRefused:
            found = None
        if found:
            raise Violation("C3", f"{len(kept)} of {len(data)} bytes of a reply pass for one (SPEC CAR-12)")
        self.lose(travel)

    # The server's own

    def end(self, poll: ServerPoll) -> None:
        """Keep no more of a connection than its end."""
        self.service.end(poll)

    def restart(self) -> None:
        """Forget all connections, as a process does that ends; what is parked there breaks."""
        self.service = PollService(self.plan.limits)
        at_server, self._at_server = self._at_server, {}
        for travel in at_server.values():
            if not travel.copy:
                self.lose(travel)
        self._waiting.clear()
