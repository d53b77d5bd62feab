"""A long-poll link: the engine's state for both ends, and the drivers around it (SPEC 14.3).

What the client's engine writes goes into a ``ClientPoll``; the requests that come out of it travel by ``polling``, one
exchange at a time. Rule: an older link makes no request any more once a newer one has the session (SPEC ATT-15).
"""

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.longpoll import ClientPoll, Exchange, Retry, ServerPoll
from hawser_engine.packets import Reauth
from hawser_engine.states import State

from .answering import Answering
from .asking import Asking
from .books import Violation
from .coverage import POLLS
from .ends import End
from .ledger import Arrivals, walk
from .lines import SINGLE, Line
from .pollcells import heard
from .travels import Travel

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser_engine.bindings.http import Reply, Request

    from .polling import Polling

__all__ = ["Chain"]

_OVER: Final = (State.CLOSING, State.CLOSED)
_FIRST_PAUSE: Final = 0.1
_BROKEN_PROMISE: Final = "the server has not taken"


class Chain(Line):
    """One chain of requests; the server may have had several connections of it, of which one lives."""

    __slots__ = (
        "_asked",
        "_backlogs",
        "_bringing",
        "_left",
        "_lingers_until",
        "_out_until",
        "_outage",
        "_pending",
        "_replies",
        "_stalled_until",
        "_torn",
        "_travels",
        "answering",
        "arrivals",
        "asked",
        "asking",
        "came_last",
        "extra",
        "heard_last",
        "poll",
        "polling",
        "retired",
        "served",
    )

    def __init__(self, polling: "Polling", label: str, *, client: bool = True) -> None:
        super().__init__(polling.world, label, whole=True)
        self.polling = polling
        self.poll: ClientPoll | None = ClientPoll() if client else None  # a doubled attach has nobody there
        self.served: ServerPoll | None = None
        self.arrivals = Arrivals(self)
        self.asking = Asking(self)
        self.answering = Answering(self)
        self.retired = False
        self.extra = 0.0  # seconds that everything may take longer
        self._travels: dict[Request, Travel] = {}  # by request, the travel whose reply the client waits for
        self._left = self.came_last = self.heard_last = 0  # of the requests that left, came, were answered last
        self._pending: list[tuple[Travel, Reply | None]] = []  # arrived while the client slept
        self._backlogs: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._asked = False  # the server's connection was given a REAUTH that is not obeyed yet
        self._replies: deque[tuple[Exchange, bool]] = deque()
        self.asked = False  # that was so when the reply was made that is looked at
        self._bringing = [False, False]
        self._torn = [False, False]
        self._stalled_until = [0.0, 0.0]
        self._out_until = 0.0  # nothing passes before; infinity: never again
        self._outage: tuple[int, ...] = ()
        self._lingers_until = 0.0  # the client still says what it has to say though nobody listens
        for tap in self.taps:
            tap.marks = deque(maxlen=0)  # what arrives is not what was written: counts of headers come as PINGs

    # What ends write

    def dial(self) -> None:
        """Do nothing: the first request calls the server."""

    def write(self, side: int, data: bytes) -> int:
        self._backlogs[side].append(data)
        self._hand_on(side)
        return self.left(side)

    def left(self, side: int) -> int:
        return sum(map(len, self._backlogs[side]))

    def _hand_on(self, side: int, *, all_of_it: bool = False) -> None:
        """Give the binding what it has room for (SPEC LIM-4)."""
        backlog = self._backlogs[side]
        poll = self.served if side else self.poll
        while backlog and poll is not None and (all_of_it or poll.held_bytes < self.polling.plan.held_bytes):
            data = backlog.popleft()
            if side:
                self._look_for_reauth(data)
            poll.send([data])
            if poll is self.served:
                self._collect(poll)

    def _look_for_reauth(self, data: bytes) -> None:
        if self._asked != self.taps[1].asking:
            for _, _, packet in walk(data):
                if isinstance(packet, Reauth):
                    self._asked = packet.within_ms is not None

    def settle(self, side: int) -> None:
        if self._bringing[side]:
            return
        backlog = self._backlogs[side]
        if backlog:
            before = len(backlog)
            self._hand_on(side)
            end = self.ends[side]
            if len(backlog) < before and end is not None:
                end.network_took(self.left(side))
        if side:
            self._settle_server()
        else:
            self._settle_client()

    # The client's end

    def _settle_client(self) -> None:
        poll, end = self.poll, self.ends[0]
        if poll is None:
            return
        if poll.ended is not None:
            self._check_promise(poll.ended)
            if end is not None and not end.closed:
                end.arrives([], True)
            return
        if end is not None:
            self.retired = end.retired
            if end.connection.state in _OVER:
                self._hand_on(0, all_of_it=True)
        elif self.world.time >= self._lingers_until:
            return
        if not self.retired:
            for request in poll.requests():
                self.asking.leaves(request)
                self._make(request, 0)

    def _check_promise(self, ended: str) -> None:
        pair = self.taps[0].pair
        if ended.startswith(_BROKEN_PROMISE) and (pair is None or not pair.hostile):
            raise Violation("C4", f"{self.label}: {ended} (SPEC CAR-23)")

    def _make(self, request: "Request", tries: int) -> None:
        """Let a request travel, and plan when it is given up (SPEC CAR-26)."""
        plan, world = self.polling.plan, self.world
        self._left += 1
        travel = self._travels[request] = Travel(self, request, tries, self._left)
        if world.transcript.wanted:
            self.say(0, f"asks {_shown(request)}")
        patience = plan.get_seconds if travel.get else plan.post_seconds
        world.at(world.time + patience, self._give_up, travel)
        self.polling.send(travel)

    def _give_up(self, travel: Travel) -> None:
        if self._travels.get(travel.request) is not travel or self._asleep(self._give_up, travel):
            return
        end = self.ends[0]
        if not travel.get:
            self.hear(travel, None)
        elif end is not None and not end.closed and self.poll is not None and self.poll.wants(travel.request):
            del self._travels[travel.request]
            end.arrives([], True)  # and with the GET the link (SPEC CAR-26)

    def hear(self, travel: Travel, reply: "Reply | None") -> None:
        """Take a reply, or the news that there is none; what is not waited for any more is not heard."""
        poll = self.poll
        if poll is None or self._travels.get(travel.request) is not travel:
            return
        end = self.ends[0]
        if end is None and self.world.time >= self._lingers_until:
            return
        if end is not None and end.actor.host.asleep_until > self.world.time:
            self._pending.append((travel, reply))
            self.world.at(end.actor.host.asleep_until, self.read, 1)
            return
        del self._travels[travel.request]
        self._torn[1] = travel.tries > 0 or travel.doubled
        heard(self.world.cells, POLLS, travel, reply)
        if self.world.transcript.wanted:
            self.say(0, f"hears {'nothing' if reply is None else reply!r} to {_shown(travel.request)}")
        wanted = poll.wants(travel.request)
        retry = poll.fail(travel.request) if reply is None else poll.receive(travel.request, reply)
        if wanted and retry is not None:
            self._plan_again(travel, retry)
        if wanted and reply is not None:
            self.asking.told(travel.request, reply, answered=retry is None)
        self._bring(0)

    def _plan_again(self, travel: Travel, retry: Retry) -> None:
        same = retry.after_seconds is not None
        if retry.after_seconds is not None:
            wait = float(retry.after_seconds)  # SPEC CAR-28
        elif not travel.tries:
            wait = 0.0  # a kept connection may have been closed meanwhile
        else:
            longest = min(self.polling.plan.retry_seconds, _FIRST_PAUSE * 2.0 ** min(travel.tries, 10))
            wait = longest * self.polling.draw()
        self.world.at(self.world.time + wait, self._again, travel.request, travel.tries + 1, same)

    def _again(self, request: "Request", tries: int, same: bool) -> None:
        """Make a request again, unless it is of no interest any more."""
        poll, end = self.poll, self.ends[0]
        if poll is None or (end is None and self.world.time >= self._lingers_until) or self.retired:
            return
        if self._asleep(self._again, request, tries, same):
            return
        made = request if same and poll.wants(request) else None if same else poll.again(request)
        if made is not None:
            self.asking.leaves(made)
            self._make(made, tries)
        self.settle(0)
        if made is not None and made is not request:
            self.asking.get_is_again()

    def _asleep(self, call: "Callable[..., None]", *args: object) -> bool:
        """Say whether the client's machine sleeps; then it does this when it wakes up."""
        end = self.ends[0]
        if end is None or end.actor.host.asleep_until <= self.world.time:
            return False
        self.world.at(end.actor.host.asleep_until, call, *args)
        return True

    # The server's end

    def serve(self, poll: ServerPoll) -> None:
        """Take a connection that an attach has made."""
        server = self.world.server
        if self.ends[1] is not None:
            raise Violation("C5", f"{self.label} attaches while its connection before lives (SPEC CAR-13)")
        self._backlogs[1].clear()
        self._asked = False
        self.served = poll
        poll.context = self
        self.arrivals.begins()
        self.answering.begins(0 if self.resume is None else self.resume.counts.received)
        connection = server.engine.connect(server.host.now)
        connection.pong_wait = self.polling.plan.patience_seconds
        End(server, self, 1, connection)

    def arrived(self, poll: ServerPoll, travel: Travel) -> None:
        """Let the server look at what a request has brought."""
        self._torn[0] = travel.tries > 0 or travel.doubled
        if poll is self.served:
            self._bring(1)
        else:  # it is long over, and only tells so again
            poll.batches()
            poll.taken()
            self._answer(poll)

    def _settle_server(self) -> None:
        poll, end = self.served, self.ends[1]
        if poll is None:
            return
        if end is not None and not end.closed and (poll.over or end.connection.state in _OVER):
            self._hand_on(1, all_of_it=True)
            end.arrives([], True)
        self._answer(poll)
        if self.ends[1] is not None:
            self.answering.settled(poll)

    def _collect(self, poll: ServerPoll) -> None:
        """Note the replies that are made."""
        self._replies += [(exchange, self._asked) for exchange in poll.answered()]

    def _answer(self, poll: ServerPoll) -> None:
        self._collect(poll)
        while self._replies:
            exchange, self.asked = self._replies.popleft()
            self.polling.reply(exchange)
        if poll.over and (poll is not self.served or self.ends[1] is None) and not poll.lingering:
            self.polling.end(poll)

    def _bring(self, side: int) -> None:
        """Let the session of a side take what has arrived for it, and hear what it says to that."""
        poll: ClientPoll | ServerPoll | None = self.served if side else self.poll
        if poll is None or self._bringing[side]:
            return
        self._bringing[side] = True
        while batches := poll.batches():
            end = self.ends[side]
            for batch in batches:
                if end is not None and not end.closed:
                    end.arrives([batch], False)
        poll.taken()
        if poll is self.served:
            self._collect(poll)
        self._bringing[side] = False
        self.settle(side)

    # What has arrived

    def read(self, side: int) -> None:
        if side == 0:
            self.polling.wake_server()
            return
        pending, self._pending = self._pending, []
        for travel, reply in pending:
            self.hear(travel, reply)

    def kinds(self, side: int, chunk: bytes) -> list[int]:
        found: list[int] = []
        for kind, part, packet in walk(chunk):
            found.append(kind)
            if part is not None:
                self.arrivals.brings(side, part)
            elif isinstance(packet, SINGLE):
                self.arrivals.brings_single(side, packet)
        return found

    def is_torn(self, side: int) -> bool:
        return self._torn[side]

    # Faults

    def delay(self, side: int) -> float:
        """Return how long what ``side`` writes now is under way."""
        low, high = self.world.plan.delay
        wait = low + (high - low + self.extra) * self.polling.draw()
        return max(wait, self._stalled_until[side] - self.world.time)

    def is_out(self, side: int) -> bool:
        """Say whether nothing of what ``side`` writes passes now."""
        return side in self._outage and self._out_until > self.world.time

    @property
    def fails_at(self) -> float | None:
        """When the client learns that what was lost now has no reply; None if it does not."""
        time = self.world.time
        if self._out_until > time:
            return None if self._out_until == inf else self._out_until
        return time + 1.5 * self.polling.draw() if self.polling.draw() < 0.7 else None

    def stall(self, until: float, sides: tuple[int, ...] = (0, 1)) -> None:
        for side in sides:
            self._stalled_until[side] = max(self._stalled_until[side], until)

    def slow_down(self, seconds: float) -> None:
        self.extra += seconds * self.polling.draw()

    def calm_down(self) -> None:
        self.extra = 0.0
        self._stalled_until = [0.0, 0.0]

    def cut(self, learnt_at: tuple[float | None, float | None]) -> None:
        """Let nothing pass until the client learns it, or never again; what is under way gets through or not.

        Nobody tells a server that a link of this kind is cut, whatever is planned for it to learn.
        """
        self.was_cut = True
        self._out_until = inf if learnt_at[0] is None else learnt_at[0]
        self._outage = (0, 1) if self.polling.draw() < 0.7 else (int(2 * self.polling.draw()),)
        for travel in self._travels.values():
            if self.polling.draw() < 0.5:
                self.polling.lose(travel)
        if self._out_until != inf:
            self.world.at(self._out_until, self._heal, self._out_until)

    def _heal(self, until: float) -> None:
        if self._out_until == until:
            self.was_cut = False

    def close(self, side: int) -> None:
        self.ends[side] = None
        if side:
            self._close_server()
        elif self.poll is not None and self.poll.ended is None and not self.retired and self.polling.draw() < 0.7:
            self.poll.batches()
            self.poll.close()  # its last words go on, though nobody waits for them
            self.poll.taken()
            self._lingers_until = self.world.time + 8.0 * self.polling.draw()
            self._settle_client()

    def _close_server(self) -> None:
        poll = self.served
        if poll is not None:
            poll.batches()
            poll.close()
            self._answer(poll)
            if poll.lingering:
                self.world.at(self.world.time + 8.0 * self.polling.draw(), self.polling.end, poll)


def _shown(request: "Request") -> str:
    values = dict(request.headers)
    names = ("hawser-generation", "hawser-number", "hawser-counts", "hawser-first")
    numbers = " ".join(values[name] for name in names if name in values)
    return f"{request.method} {numbers} {len(request.body)} bytes"
