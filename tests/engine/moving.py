"""A session that moves from one link to another, in every order in which things can happen (SPEC ATT-18).

A client has a session on link "a" and tries link "b" beside it. Every moment offers a few moves: a batch arrives, an
application says something, the client attaches on what has answered, the authenticator judges, an end of a link learns
that it is gone. `explore` takes them in every order, within the bounds of `Bounds`, and never visits a state twice. In
every state what each side was given has to be a beginning of what the other has said; and from every state, once
nothing is hindered any more, it has to become all of it.

A world is built anew for every path, from its moves: nothing has to be copied, and a failure is a list of moves.
"""

from collections import deque
from collections.abc import Iterator

import attrs

from hawser_engine import (
    AuthenticationRequested,
    Client,
    ClientConnection,
    EngineConfig,
    MessageReceived,
    Server,
    ServerConnection,
    SessionReset,
    State,
)
from tests.engine.pair import INCARNATION, counting_bytes

CONFIG = EngineConfig()


@attrs.frozen
class Bounds:
    """How much may happen."""

    said: int = 2
    """Messages of the client."""
    told: int = 2
    """Messages of the server."""
    lost: int = 1
    """Ends of links that learn that the link is gone."""


class Broken(AssertionError):
    """Something that is promised does not hold."""


class Ends:
    """The two ends of a link, and what is under way between them."""

    def __init__(self, client: ClientConnection, server: ServerConnection) -> None:
        self.client = client
        self.server = server
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.lost: set[str] = set()
        """The sides that know that it is gone."""
        self.judging = False


class World:
    """Both sides after some moves."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.now = 0.0
        self.client = Client(CONFIG, self.now, credentials={"token": "t"})
        self.server = Server(CONFIG, random_bytes=counting_bytes(), incarnation=INCARNATION)
        self.links: dict[str, Ends] = {}
        self.said: list[bytes] = []
        self.told: list[bytes] = []
        self.at_server: list[bytes] = []
        self.at_client: list[bytes] = []
        self.losses = 0
        self._open("a")
        self.links["a"].client.attach(self.now)
        self.settle()
        while moves := [move for move in self.moves() if move.startswith(("up", "down", "judge"))]:
            self.make(moves[0])
        self._open("b")
        self.links["b"].client.ping(self.now)
        self.settle()

    def _open(self, name: str) -> None:
        self.links[name] = Ends(self.client.connect(self.now, attach=False), self.server.connect(self.now))

    # Moves

    def moves(self) -> Iterator[str]:
        """What can happen now."""
        for name, link in self.links.items():
            if link.up:
                yield f"up {name}"
            if link.down:
                yield f"down {name}"
            if link.judging:
                yield f"judge {name}"
            if link.client.answered and link.client.state is State.IDLE:
                yield f"attach {name}"
            for side in ("client", "server"):
                if self.losses < self.bounds.lost and side not in link.lost:
                    yield f"lose {name} {side}"
        if len(self.said) < self.bounds.said:
            yield "say"
        if len(self.told) < self.bounds.told:
            yield "tell"

    def make(self, move: str) -> None:
        """Let something happen."""
        kind, *where = move.split()
        link = self.links[where[0]] if where else None
        match kind:
            case "say":
                self.said.append(b"said %d" % len(self.said))
                self.client.session.send(self.said[-1], self.now)
            case "tell":
                [session] = self.server.sessions.values()
                self.told.append(b"told %d" % len(self.told))
                session.send(self.told[-1], self.now)
            case "up":
                assert link is not None
                link.server.receive_batch(link.up.popleft(), self.now)
            case "down":
                assert link is not None
                link.client.receive_batch(link.down.popleft(), self.now)
            case "judge":
                assert link is not None
                link.judging = False
                link.server.accept("ada", self.now)
            case "attach":
                assert link is not None
                link.client.attach(self.now)
            case _:
                assert link is not None
                self.losses += 1
                self._lose(link, where[1])
        self.settle()

    def _lose(self, link: Ends, side: str) -> None:
        """One end learns that the link is gone; what was under way to the other may still arrive there."""
        link.lost.add(side)
        if side == "client":
            link.down.clear()
            link.client.receive_eof(self.now)
        else:
            link.up.clear()
            link.judging = False
            link.server.receive_eof(self.now)

    # What follows from a move

    def settle(self) -> None:
        """Take all that the two sides have to send and to tell."""
        for link in self.links.values():
            while (event := link.client.next_event()) is not None:
                self._heard(event)
            while (told := link.server.next_event()) is not None:
                match told:
                    case AuthenticationRequested():
                        link.judging = True
                    case MessageReceived():
                        self.at_server.append(told.body)
                        assert link.server.session is not None
                        link.server.session.delivered(told.number, self.now)
                    case SessionReset():
                        raise Broken(f"the server has lost the session: {told.reason}")
                    case _:
                        pass
        while (left := self.client.next_event()) is not None:
            self._heard(left)
        for link in self.links.values():
            used = self.client.connection is link.client
            up, down = link.client.data_to_send(), link.server.data_to_send()
            if up and link.client.state is State.ATTACHED and not used:
                raise Broken("the client speaks on a link that it has left (SPEC ATT-15)")
            link.client.written(self.now)
            link.server.written(self.now)
            if "client" not in link.lost:
                link.up.extend(up if "server" not in link.lost else ())
            if "server" not in link.lost:
                link.down.extend(down if "client" not in link.lost else ())
        self.check()

    def _heard(self, event: object) -> None:
        match event:
            case MessageReceived():
                self.at_client.append(event.body)
                self.client.session.delivered(event.number, self.now)
            case SessionReset():
                raise Broken(f"the client has lost the session: {event.reason}")
            case _:
                pass

    def check(self) -> None:
        """What holds in every state: nothing is lost, doubled or out of order."""
        if self.at_server != self.said[: len(self.at_server)]:
            raise Broken(f"the server was given {self.at_server} of {self.said}")
        if self.at_client != self.told[: len(self.at_client)]:
            raise Broken(f"the client was given {self.at_client} of {self.told}")
        if len(self.server.sessions) != 1 and self.links and self.client.session.opened:
            raise Broken(f"the server has {len(self.server.sessions)} sessions")

    def key(self) -> str:
        """What tells this state from others: all that has an effect on what may still happen."""
        links = [
            (
                name,
                link.client.state,
                link.server.state,
                link.client.answered,
                self.client.connection is link.client,
                link.server.session is not None,
                tuple(link.up),
                tuple(link.down),
                sorted(link.lost),
                link.judging,
            )
            for name, link in self.links.items()
        ]
        sessions = [session.export(self.now) for session in self.server.sessions.values()]
        counts = (len(self.said), len(self.told), len(self.at_server), len(self.at_client), self.losses)
        return repr((links, sessions, self.client.export(self.now), counts))

    def finish(self) -> None:
        """Hinder nothing any more; the client comes back as often as it has to. Then everything has arrived."""
        for attempt in range(10):
            while moves := [move for move in self.moves() if move.startswith(("up", "down", "judge", "attach"))]:
                self.make(moves[0])
            if (self.at_server, self.at_client) == (self.said, self.told) and self.client.connection is not None:
                return
            name = f"c{attempt}"
            self._open(name)
            self.links[name].client.attach(self.now)
            self.settle()
        raise Broken(
            f"in the end the server has {self.at_server} of {self.said}, the client {self.at_client} of {self.told}"
        )


def world(bounds: Bounds, path: tuple[str, ...]) -> World:
    """The world behind some moves."""
    made = World(bounds)
    for move in path:
        made.make(move)
    return made


def explore(bounds: Bounds) -> tuple[int, int]:
    """Take every order of moves; returns how many states there are, and in how many of them the session had moved.

    Raises:
        Broken: What is promised does not hold; it names the moves that lead there.
    """
    seen: set[str] = set()
    moved = 0
    paths: list[tuple[str, ...]] = [()]
    while paths:
        path = paths.pop()
        try:
            here = world(bounds, path)
            key = here.key()
            if key in seen:
                continue
            seen.add(key)
            paths += [(*path, move) for move in here.moves()]
            moved += here.links["b"].server.session is not None
            here.finish()
        except Broken as error:
            raise Broken(f"{error}\nafter {', '.join(path)}") from error
    return len(seen), moved
