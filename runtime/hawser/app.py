"""The application: what is allowed, what can be called, what happens when somebody comes and goes.

An `App` is only a description; `serve` brings it to life. Handlers are ordinary Trio coroutines; each runs in a
task of its own or in the queue of its session, never in the way of anybody else.
"""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.channels.entries import Entry, Retention, told
from hawser_engine.channels.overflow import Overflow
from hawser_engine.codes import ErrorCode, TargetKind
from hawser_engine.messages import Subscribe, Unsubscribe, encode_publication
from hawser_engine.packets import MAX_BODY

from . import pages
from .about import carry, check_carried, check_volatile, publish_options
from .addressing import TARGETS_MAX, UserRule, check_spared, listed, sessions_of
from .agents import DIRECTORY, AgentRule, Balance
from .amounts import check_amounts, check_seconds, check_spans
from .answers import COLLECT_PROCEDURE
from .brokers import Keeping, MemoryBroker, Published
from .calls import Procedure, ProcedureHandler
from .contract.problems import ContractBroken
from .contract.signatures import types_of
from .errors import CallError, PayloadError
from .mailboxes import MailboxRule, check_pattern
from .mailboxes import dead_letters as find_dead_letters
from .members import decode_member
from .message import Message
from .patterns import declare, find
from .payloads import encode_payload
from .principals import Principal, check_handler, check_name, scoped_key
from .rights import ASK, EVERYONE, NOBODY
from .rules import ChannelRule
from .server.asking import ask_all
from .server.assigning import requested, rule_of
from .server.enrolling import enrol_all
from .server.posting import deposit_from
from .server.sending import send_from

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence

    from hawser_engine.messages import About, Position, PublishOptions
    from hawser_transports import HttpHandler

    from .about import Carried
    from .addressing import Reach, Sent
    from .answers import Collected
    from .brokers import Broker
    from .members import Member
    from .middleware import ConnectMiddleware, Middleware
    from .pages import Page
    from .rights import Action, Right
    from .server.node import Node
    from .server.session import Session
    from .to import Target

    Authenticate: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Principal | None]]
    Hook: TypeAlias = Callable[[Session], Awaitable[None]]

Handler = TypeVar("Handler", bound="ProcedureHandler")

DIRECTORY_HISTORY: Final = 100
"""Steps of the directory that are kept for those who were away; who was away for longer reads all of it again."""


class App:
    """A real-time application: channels, procedures, and who may use them.

    Args:
        broker: Who assigns offsets and keeps history; a `MemoryBroker` of its own if not given.
    """

    def __init__(self, *, broker: Broker | None = None) -> None:
        self.broker: Broker = MemoryBroker() if broker is None else broker
        self.authenticator: Authenticate | None = None
        self.rules: list[ChannelRule] = []
        self.agent_rules: list[AgentRule] = []
        self.mailbox_rules: list[MailboxRule] = []
        self.user_rules: list[UserRule] = []
        self.procedures: dict[str, Procedure] = {}
        self.nodes: list[Node] = []
        """What serves it now, in this process; kept by `serve`."""
        self.mounts: dict[str, HttpHandler] = {}
        self.middlewares: list[Middleware] = []
        self.connect_middlewares: list[ConnectMiddleware] = []
        self.connect_hooks: list[Hook] = []
        self.disconnect_hooks: list[Hook] = []

    def channel(
        self,
        pattern: str,
        *,
        history: int = 0,
        history_bytes: int = 16 * 1024 * 1024,
        history_seconds: float = inf,
        last_value: bool = False,
        about: Iterable[Carried] = (),
        presence: bool = False,
        overflow: Literal["catch-up", "drop-oldest", "keep-latest"] | None = None,
        volatile: bool = False,
        publish: Right | None = None,
        subscribe: Right | None = None,
        read_history: Right | None = None,
        watch_presence: Right | None = None,
        appear: Right | None = None,
        ask: Right | None = None,
        wildcard: Right | None = None,
        open: bool = False,
    ) -> ChannelRule:
        """Declare channels. A channel that matches no pattern does not exist; the longest match decides.

        Args:
            pattern: An exact name, or a beginning and ``*``.
            history: How many publications are kept for those who were away; 0 keeps none.
            history_bytes: How many bytes of them are kept at most.
            history_seconds: How old they may become, by the clock of the broker.
            last_value: Give whoever subscribes anew the last publication first, whenever it was; at least one is kept.
            about: What publications carry beside their payload, to be read as ``message.publisher`` and so on:
                ``"publisher"``, the id of the principal; ``"time"``; ``"tags"`` and ``"latest_key"``, which publishers
                may give only where they are named here.
            presence: Let clients be members, and see who is: `Client.presence`.
            overflow: What a subscriber gets that could not take what was published. ``"catch-up"``: all of it, from
                history. ``"drop-oldest"``: the newest that wait for it, behind a `Gap`. ``"keep-latest"``: the newest
                publication of each ``latest_key``; history keeps no others, so that ``history`` is how many keys there
                may be, and ``last_value`` gives all of them to whoever joins. None: to catch up where ``history`` is
                declared, and else to drop the oldest, also where ``last_value`` keeps one.
            volatile: Let publications be volatile: kept nowhere, and given at once or not at all.
            publish: Who may publish: `EVERYONE`, `NOBODY`, `claims`, `granted`, or `ASK` for the handler. None leaves
                it to the handler, or else to ``open``.
            subscribe: Who may subscribe; likewise.
            read_history: Who of those who may subscribe may have what was published before, by ``rewind`` or ``since``,
                as the last value or in pages (`Client.history`). None: all of them.
            watch_presence: Who may see who is there. None: who may subscribe.
            appear: Who may be a member. None: who may subscribe.
            ask: Who may ask all those who subscribe and answer: `Client.collect`. None: no client.
            wildcard: Who may subscribe to patterns such as ``room:*``, and so to channels whose names they do not know;
                `ASK` asks the handler about the pattern as a whole. A pattern never brings channels that are declared
                apart from it. None: nobody, unless everything is ``open`` and ``subscribe`` is not declared.
            open: Let everyone in where no `ChannelRule.authorize` handler is given; otherwise nobody is.

        Returns:
            The rule, on which ``authorize`` registers a handler.

        Raises:
            TypeError: ``about`` is a string.
            ValueError: The pattern is not well-formed, or declared twice, or a value is none.

        Spec: CHN-7, CHN-13, CHN-14, OVF-1, LAT-1, VOL-1.
        """
        check_amounts(0, history=history, history_bytes=history_bytes)
        check_spans(history_seconds=history_seconds)
        if not history and not last_value and history_seconds < inf:
            raise ValueError(f"history_seconds={history_seconds:g} bounds what is kept, and history is 0")
        policy = Overflow(overflow or ("catch-up" if history else "drop-oldest"))
        if not history and policy in (Overflow.CATCH_UP, Overflow.KEEP_LATEST):
            raise ValueError(f"overflow={overflow!r} takes what it gives from history; history is 0")
        latest = policy is Overflow.KEEP_LATEST
        retention = Retention(max(history, int(last_value)), history_bytes, history_seconds, latest)
        rights = _declared(
            publish=publish,
            subscribe=subscribe,
            history=read_history,
            presence=watch_presence,
            appear=appear,
            ask=ask,
            wildcard=wildcard,
        )
        if ask is not None and COLLECT_PROCEDURE not in self.procedures:
            self.procedure(COLLECT_PROCEDURE)(_collect)
        carried = check_carried([*about, "latest_key"] if latest else about)
        rule = ChannelRule(
            pattern, retention, policy, last_value, carried, presence, volatile, open=open, rights=rights
        )
        return declare(self.rules, rule, "channels")

    def agent(
        self,
        pattern: str,
        *,
        offer: Right | None = None,
        call: Right | None = None,
        send: Right | None = None,
        open: bool = False,
        balance: Balance = "turns",
    ) -> AgentRule:
        """Declare agents: names under which clients offer procedures to each other, see `Client.offer`.

        An agent that matches no pattern cannot be offered; the longest match decides. `App.middleware` sees a call of
        an agent like any other.

        Args:
            pattern: An exact name, or a beginning and ``*``.
            offer: Who may offer them: `EVERYONE`, `NOBODY`, `claims`, `granted`, or `ASK` for the handler. None leaves
                it to the handler, or else to ``open``.
            call: Who may call them; likewise.
            send: Who may send to them, see `Client.send`. None: who may call them.
            open: Let everyone in where no ``authorize`` handler is given; otherwise nobody is.
            balance: Which of several workers gets a call: they take ``turns``, or the one with the ``least`` open
                calls is preferred.

        Returns:
            The rule, on which ``authorize`` registers a handler.

        Raises:
            ValueError: The pattern is not well-formed or declared twice, or there is no such balance.

        Spec: AGT-2 to AGT-6.
        """
        rule = AgentRule(pattern, balance, open=open, rights=_declared(offer=offer, call=call, send=send))
        return declare(self.agent_rules, rule, "agents")

    def mailbox(
        self,
        pattern: str,
        *,
        post: Right | None = None,
        hold: Right | None = None,
        open: bool = False,
        letters: int = 10_000,
        bytes: int = 64 * 1024 * 1024,
        seconds: float = 7 * 86_400,
        tries: int = 5,
        dead_letters: str | None = None,
    ) -> MailboxRule:
        """Declare mailboxes: ``user:ada`` is that of a user, ``agent:researcher`` that of an agent.

        A mailbox that matches no pattern does not exist; the longest match decides. Letters are kept by the app's
        broker: with a `hawser.brokers.sqlite.SqliteBroker` they outlive the server.

        Args:
            pattern: An exact name, or a beginning and ``*``, such as ``user:*``.
            post: Who may put letters in: `EVERYONE`, `NOBODY`, `claims`, `granted`, or `ASK` for the handler. None
                leaves it to the handler, or else to ``open``.
            hold: Who may take them out; likewise, but None lets each user hold the mailbox of its own, and leaves that
                of another user to the handler alone.
            open: Let everyone post, and hold the mailboxes of agents, where no ``authorize`` handler is given;
                otherwise nobody may.
            letters: How many letters a mailbox has at most.
            bytes: How many bytes of them.
            seconds: How long a letter is kept at most.
            tries: After so many failures a letter is dead.
            dead_letters: A channel, declared before, in which dead letters are published. It keeps history, and has no
                declared events. None: nowhere; they are only counted, in `Server.dead_letters`.

        Returns:
            The rule, on which ``authorize`` registers a handler.

        Raises:
            LookupError: No declared pattern matches the channel of dead letters.
            TypeError: That is no string.
            ValueError: The pattern is not well-formed, is declared twice, or is none of mailboxes; a limit is none; or
                dead letters could not be found in their channel.

        Spec: MBX-4, MBX-9 to MBX-12.
        """
        check_pattern(pattern)
        check_amounts(1, letters=letters, tries=tries)
        check_amounts(0, bytes=bytes)
        check_spans(seconds=seconds)
        dead = None if dead_letters is None else find_dead_letters(dead_letters, self.rules)
        keeping = Keeping(letters, bytes, tries, dead)
        mine = MailboxRule(pattern, keeping, seconds, open=open, rights=_declared(post=post, hold=hold))
        return declare(self.mailbox_rules, mine, "mailboxes")

    def user(
        self, pattern: str, *, send: Right | None = None, broadcast: Right | None = None, open: bool = False
    ) -> UserRule:
        """Declare to whom clients may send directly, see `Client.send`; the application itself does not ask.

        Nobody may send to a user that matches no pattern; the longest match decides.

        Args:
            pattern: A `Principal.id`, or a beginning and ``*``.
            send: Who may send to them: `EVERYONE`, `NOBODY`, `claims`, `granted`, or `ASK` for the handler. None leaves
                it to the handler, or else to ``open``.
            broadcast: Of the pattern ``*``: who may send to everybody at once; likewise.
            open: Let everyone where no ``authorize`` handler is given; otherwise nobody may.

        Returns:
            The rule, on which ``authorize`` registers a handler.

        Raises:
            ValueError: The pattern is not well-formed, or declared twice.

        Spec: ADR-6.
        """
        rule = UserRule(pattern, open=open, rights=_declared(send=send, broadcast=broadcast))
        return declare(self.user_rules, rule, "users")

    def directory(self, authorize: Callable[[Session], Awaitable[bool]] | None = None) -> None:
        """Let clients see who offers what, with `Client.agents` and `Client.watch_agents`.

        It declares the channel ``$agents`` and the procedure of that name. Of several servers of one service each shows
        what is offered there.

        Args:
            authorize: Who may see it: ``async def handler(session) -> bool``; everybody, if not given.

        Raises:
            TypeError: The handler is no async function.
            ValueError: There is a directory already.

        Spec: AGT-11 to AGT-13.
        """
        if authorize is not None:
            check_handler(authorize, "directory")
        seen_by = EVERYONE if authorize is None else ASK
        rule = self.channel(DIRECTORY, history=DIRECTORY_HISTORY, publish=NOBODY, subscribe=seen_by)
        if authorize is not None:

            @rule.authorize
            async def may(session: Session, action: Action, channel: str) -> bool:
                return await authorize(session)

        @self.procedure(DIRECTORY)
        async def tell(session: Session) -> AsyncIterator[Any]:
            if authorize is not None and not await authorize(session):
                raise CallError(ErrorCode.DENIED, "the directory of agents")
            for entry in session.directory():
                yield entry

    def rule_for(self, channel: str) -> ChannelRule | None:
        """The rule that holds for a channel, or None if there is no such channel."""
        return find(self.rules, channel)

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        volatile: bool = False,
        expected: Position | None = None,
    ) -> Published:
        """Publish from inside the application; nobody is asked whether it may.

        Args:
            channel: The channel's name.
            data: What subscribers get as ``message.data``; the same kinds of values as for `Client.publish`. In a
                channel with declared events an instance of the class of one, or a value and the tag that names it.
            key: An idempotency key, scoped to the application and the channel and remembered for five minutes.
            tags: As for `Client.publish`.
            latest_key: As for `Client.publish`.
            volatile: As for `Client.publish`.
            expected: Where the channel has to stand, so that nothing comes between what this rests on and itself,
                from whatever server; None: anywhere. With a key that is known the original result is returned first.

        Returns:
            The position that it got, and whether the key had been published before.

        Raises:
            LookupError: No declared pattern matches the channel.
            PayloadError: The data cannot travel, or is too long to be volatile.
            PositionMoved: The channel stands elsewhere; the error says where.
            ValueError: Tags or key cannot travel, or the channel carries none, or it is not as declared; or it has no
                volatile publications, or this one has an idempotency key, or expects something.

        Spec: PUB-2, PUB-3, PUB-8, VOL-1, CTR-1.
        """
        rule = self._declared_channel(channel)
        if rule.events is not None:
            with _as_declared():
                data, tags = rule.events.render(data, tags)
        options = publish_options(tags, latest_key, volatile=volatile)
        return await self._publish(rule, channel, encode_payload(data), key, options, (), expected)

    async def publish_payload(
        self,
        channel: str,
        payload: bytes,
        *,
        key: bytes | None = None,
        options: PublishOptions | None = None,
        spared: tuple[str, ...] = (),
    ) -> Published:
        """Publish what is encoded already; as `publish`.

        Args:
            channel: As there.
            payload: The payload as it travels.
            key: As there.
            options: Tags and key, and whether it is volatile.
            spared: The ids of sessions that do not get it.

        Raises:
            LookupError: As there.
            PayloadError: It is too long to be volatile.
            ValueError: As there.
        """
        rule = self._declared_channel(channel)
        _check_event(rule, payload, options)
        return await self._publish(rule, channel, payload, key, options, spared)

    def _declared_channel(self, channel: str) -> ChannelRule:
        return rule_of(self, channel)

    async def _publish(
        self,
        rule: ChannelRule,
        channel: str,
        payload: bytes,
        key: bytes | None,
        options: PublishOptions | None,
        spared: tuple[str, ...],
        expected: Position | None = None,
    ) -> Published:
        about = _about(rule, channel, payload, key, options, spared)
        if options is not None and options.volatile:
            if expected is not None:
                raise ValueError("what is volatile has no place of its own, and expects none")
            return Published(await self.broker.publish_volatile(channel, payload, about=about), False)
        return await self.broker.publish(
            channel, payload, retention=rule.retention, key=scoped_key(None, key), about=about, expected=expected
        )

    async def send(
        self,
        to: Target | Sequence[Target],
        data: object,
        *,
        but: Sequence[Session] = (),
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        volatile: bool = False,
    ) -> Sent:
        """Send something to somebody from inside the application: ``await app.send(to.user("ada"), "hello")``.

        It reaches the sessions of all servers that share the application's broker. What none of them takes is kept in
        the mailbox of the user or the agent, if one is declared.

        Args:
            to: One target or several; see `hawser.to`. ``to.session(session.id)`` is the client of a handler's session.
            data: The same kinds of values as for `publish`.
            but: Sessions, up to 64, that do not get it, whatever target means them; nor does the mailbox of a user or
                an agent that one of them belongs to.
            key: For the channels and the mailboxes of the targets, as for `publish` and `post`.
            tags: As for `publish`; only where all targets are channels.
            latest_key: As for `publish`; only where all targets are channels.
            volatile: As for `Client.send`.

        Returns:
            What became of it, for each target; see `Outcome`.

        Raises:
            PayloadError: The data cannot travel, or is too long to be volatile in a channel. Nothing was sent; nor was
                it after the errors below.
            TypeError: Something is no target, or ``but`` is no list.
            ValueError: There is no target, or there are too many, or too many are left out; or it is volatile and has a
                key, or a target that is no channel has tags or a latest key; or a channel among the targets does not
                carry them, has nothing volatile, or has declared something else.

        Spec: ADR-2 to ADR-5, ADR-7, ADR-10, ADR-12, ADR-13.
        """
        options = publish_options(tags, latest_key, volatile=volatile)
        targets = listed(to, options)
        check_spared(but)
        if volatile and key is not None:
            raise ValueError("what is volatile has no idempotency key")
        if len(but) > TARGETS_MAX:
            raise ValueError(f"at most {TARGETS_MAX} sessions are left out, not {len(but)}")
        payload = encode_payload(data)
        for one in targets:  # before anybody has any of it
            rule = self.rule_for(one.name or "") if one.kind is TargetKind.CHANNEL else None
            if rule is not None:
                _check_event(rule, payload, options)
                _about(rule, one.name or "", payload, key, options)
        return await send_from(self, targets, payload, but, key, options)

    async def subscribe(
        self,
        to: Target | Sequence[Target],
        channel: str,
        *,
        since: Position | None = None,
        rewind: int | None = None,
        rewind_seconds: float | None = None,
    ) -> Reach:
        """Subscribe clients to a channel: ``await app.subscribe(to.user("ada"), "room:lobby")``; nobody is asked.

        It does what `Session.subscribe` does, with the sessions that there are now at all servers that share the
        application's broker; for those that begin later there is `App.on_connect`. A server is found moments after its
        first client that takes such subscriptions has come.

        Args:
            to: Sessions and users, one or several: ``to.session(session.id)``, ``to.user("ada")`` on all devices.
            channel: The channel's name; no pattern.
            since: As for `Session.subscribe`.
            rewind: As there.
            rewind_seconds: As there.

        Returns:
            How many sessions are subscribed now, and how many could not be.

        Raises:
            LookupError: No declared pattern matches the channel.
            TypeError: ``since`` is no position, or something is no target.
            ValueError: The name is a pattern, or not well-formed, or a rewind is below 0; or a target is something else
                than a session or a user, or there is none, or there are too many.
            BrokerUnavailable: The channel cannot be opened now; some may be subscribed.

        Spec: ASG-1, ASG-2, ASG-6, ASG-7.
        """
        wanted = requested(channel, since, rewind, rewind_seconds)
        self._declared_channel(channel)
        return await enrol_all(self, sessions_of(to), Subscribe(1, (wanted,)))

    async def unsubscribe(self, to: Target | Sequence[Target], channel: str) -> Reach:
        """End subscriptions of clients, whoever has asked for them; as `Session.unsubscribe`.

        Args:
            to: As for `subscribe`.
            channel: The channel's name, or a pattern that clients have subscribed to.

        Returns:
            How many sessions had it.

        Raises:
            ValueError: The name is not well-formed, or a target is none, as for `subscribe`.

        Spec: ASG-3, ASG-7.
        """
        check_name("a channel name", channel)
        return await enrol_all(self, sessions_of(to), Unsubscribe(1, (channel,)))

    async def collect(
        self, channel: str, data: object, *, seconds: float = 5.0, but: Sequence[Session] = ()
    ) -> Collected:
        """Ask all who subscribe to a channel and answer, and wait for what they say.

        It asks at all servers that share the application's broker, and nobody whether it may. Who subscribes and has
        given no ``answers`` is not asked; `Collected.unasked` says how many they are.

        Args:
            channel: The channel's name.
            data: What they get as ``question.data``; the same kinds of values as for `publish`.
            seconds: For how long; whoever has not answered then counts as silent, and is told to cancel.
            but: Sessions that are not asked.

        Returns:
            What came of it, for each member that was asked, and for each server that is unreached.

        Raises:
            LookupError: No declared pattern matches the channel.
            PayloadError: The data cannot travel.
            TypeError: ``seconds`` is no number, or ``but`` no list.
            ValueError: ``seconds`` is not above 0, or not finite; or more members answer than `Config.asked_at_once`.

        Spec: ASK-2, ASK-3, ASK-5, ASK-6.
        """
        self._declared_channel(check_name("a channel name", channel))
        check_seconds("seconds", seconds)
        check_spared(but)
        return await ask_all(self, channel, encode_payload(data), seconds, but)

    async def post(self, mailbox: str, data: object, *, key: bytes | None = None, ttl: float = inf) -> Published:
        """Put a letter into a mailbox from inside the application; nobody is asked whether it may.

        Args:
            mailbox: The mailbox: ``user:`` and the id of a principal, or ``agent:`` and a name.
            data: What its holder gets as ``letter.data``; the same kinds of values as for `Client.publish`.
            key: An idempotency key, scoped to the application and the mailbox and remembered for five minutes.
            ttl: After so many seconds it is not delivered any more, if the mailbox does not say less.

        Returns:
            The position that names the letter, and whether one had been posted under the key before.

        Raises:
            LookupError: No declared pattern matches the mailbox.
            PayloadError: The data cannot travel.
            LetterTooLarge: The letter is larger than the mailbox may become, or longer than a server that serves the
                application lets one be.
            MailboxFull: The mailbox has no room.
            BrokerUnavailable: It cannot be stored now.

        Spec: MBX-2, MBX-3, MBX-11.
        """
        return await deposit_from(self, mailbox, encode_payload(data), key, ttl)

    async def history(
        self, channel: str, *, limit: int = 100, before: Position | None = None, since: Position | None = None
    ) -> Page:
        """Read what a channel keeps, a page at a time; nobody is asked whether it may.

        An application that gives clients a state of its own says with it where the channel stood: first ``page = await
        app.history(channel, limit=0)``, then the state, which has everything up to ``page.position``. Who subscribes
        ``since`` that position has all that comes after it.

        Args:
            channel: The channel's name.
            limit: At most so many publications.
            before: As for `Client.history`.
            since: As for `Client.history`.

        Raises:
            LookupError: No declared pattern matches the channel.
            BrokerUnavailable: It cannot be read now.
            TypeError: ``before`` or ``since`` is no position.
            ValueError: ``limit`` is no number of 0 or more.
        """
        rule = self._declared_channel(channel)
        asked = pages.ask(channel, since, before, limit)
        reading = await pages.read(self.broker, asked, MAX_INTEGER)
        messages = [
            Message(channel, reading.top.epoch, one.offset, one.data, told(rule.about, one)) for one in reading.entries
        ]
        return asked.page(reading.top, reading.first, messages, more=reading.more)

    async def members(self, channel: str) -> list[Member]:
        """Who is in a channel, on this node and all others; nobody is asked whether it may know.

        Args:
            channel: The channel's name.

        Raises:
            LookupError: No declared pattern matches the channel, or it has no presence.
        """
        rule = self.rule_for(channel)
        if rule is None or not rule.presence:
            raise LookupError(f"no channel {channel!r} with presence is declared; declare it with App.channel")
        return [decode_member(entry) for entry in await self.broker.presence.members(channel)]

    def authenticate(self, handler: Authenticate) -> Authenticate:
        """Register who is who: ``async def handler(credentials) -> Principal | None``.

        ``credentials`` is the map that the client sent (``{"token": …}`` from ``connect(token=…)``), empty if it
        sent none. None refuses; `RequestFailed` does so, too, and says why, or, if it is temporary, means "try again
        later", as any other exception does. It is asked at every attach (SPEC SEC-4).
        Without a handler everyone is `ANONYMOUS`.

        Raises:
            TypeError: The handler is no async function.
            ValueError: The app has one already.

        Spec: ATT-16, AUT-2, SEC-4.
        """
        check_handler(handler, "authenticate")
        if self.authenticator is not None:
            raise ValueError("the app already has an authenticate handler")
        self.authenticator = handler
        return handler

    def procedure(self, name: str, *, checked: bool | None = None) -> Callable[[Handler], Handler]:
        """Register something that clients call: ``async def handler(session, *arguments) -> value``.

        An async generator answers in items, to `Client.stream`; `takes_inputs` is for one that takes some as well.

        What is annotated is checked: a call whose arguments are not so is refused, BAD_REQUEST, and told where they
        are wrong. Nothing is converted, but an attrs class makes an instance of a map, an integer may stand for a
        ``float``, and what JSON has no values for is made of a text, such as a ``datetime``. So are items that it
        takes, by the annotation ``inputs: Inputs[Line]``. Without annotation, or with Any, it gets what came. What it
        returns is checked, too; that it is not as annotated is a fault of its own.

        Args:
            name: What clients call it, 1 to 255 bytes of UTF-8; by convention ``subject.verb``.
            checked: None: as said above, but a result that nothing can be said of is left alone, unless an attrs class
                stands somewhere. True: the result, too, is annotated with what can be checked. False: nothing is.

        Raises:
            ModuleNotFoundError: An attrs class is annotated, and the extra ``contract`` is not installed.
            TypeError: The handler is no async function, or an annotation cannot be checked: it cannot be looked up when
                the program runs, or is no type of a value that travels.
            ValueError: The name is taken or not well-formed.

        Spec: CTR-2, CTR-4, CTR-5.
        """
        check_name("a procedure name", name, write='@app.procedure("name")')

        def register(handler: Handler) -> Handler:
            check_handler(handler, f"procedure {name!r}", generator=True)
            if name in self.procedures:
                raise ValueError(f"the procedure {name!r} is already registered")
            types = types_of(handler, f"procedure {name!r}", leading=1, checked=checked)
            self.procedures[name] = Procedure(name, handler, types=types)
            return handler

        return register

    def mount(self, prefix: str) -> Callable[[HttpHandler], HttpHandler]:
        """Register what answers plain HTTP below a path: ``async def handler(request) -> HttpResponse``.

        It stands beside the service on the same port, under the same limits; a transport without HTTP ignores it.
        Nobody is authenticated for it, and no origin is checked: the handler gets requests as they came.

        Args:
            prefix: Such as ``/api``, which also takes ``/api/rooms``; the longest prefix decides.

        Raises:
            TypeError: The prefix is no string, or the handler is no async function.
            ValueError: The prefix is taken.
        """
        check_name("the prefix of a mount", prefix, write='@app.mount("/prefix")')

        def register(handler: HttpHandler) -> HttpHandler:
            check_handler(handler, f"mount {prefix!r}")
            if prefix in self.mounts:
                raise ValueError(f"something is mounted at {prefix!r} already")
            self.mounts[prefix] = handler
            return handler

        return register

    def middleware(self, handler: Middleware) -> Middleware:
        """Put a function around everything that clients ask for: ``async def handler(request, proceed) -> result``.

        It is called for every call, publication, subscription, presence, offer and letter of a client, and for what it
        sends to somebody. ``return await proceed()`` goes on; ``proceed(request.with_data(…))`` and
        ``proceed(request.with_arguments(…))`` go on with something else.
        Raising `RequestFailed` refuses; whatever else it raises the client sees as INTERNAL with an incident number.
        For a call it may return a result of its own; otherwise it returns what ``proceed`` returned.

        The first that is registered is the outermost. Each of them runs before rights are checked, and not where the
        application itself publishes, nor where rights are checked again; what must hold then, too, is for
        `ChannelRule.authorize` to say.
        """
        check_handler(handler, "middleware")
        self.middlewares.append(handler)
        return handler

    def connect_middleware(self, handler: ConnectMiddleware) -> ConnectMiddleware:
        """Put a function around `authenticate`: ``async def handler(request, proceed) -> Principal | None``.

        It is called for whoever wants in, comes back, or shows new credentials. ``return await proceed()`` goes on, and
        ``proceed(request.with_credentials(…))`` with other credentials; it may return a principal of its own, and None
        refuses. Raising `RequestFailed` refuses and says why, or, if it is temporary, has the client come again later;
        so does whatever else it raises. It has as long as a handshake may take.

        The first that is registered is the outermost. What the client asks for afterwards is for `middleware`.
        """
        check_handler(handler, "connect_middleware")
        self.connect_middlewares.append(handler)
        return handler

    def on_connect(self, handler: Hook) -> Hook:
        """Register what happens when a session begins: ``async def handler(session)``.

        A new session is not held up by it, and a resume is no beginning.
        """
        check_handler(handler, "on_connect")
        self.connect_hooks.append(handler)
        return handler

    def on_disconnect(self, handler: Hook) -> Hook:
        """Register what happens when a session has ended: ``async def handler(session)``.

        It runs after everything else of the session, for at most five seconds. A broken link ends no session.
        """
        check_handler(handler, "on_disconnect")
        self.disconnect_hooks.append(handler)
        return handler


def _about(
    rule: ChannelRule,
    channel: str,
    payload: bytes,
    key: bytes | None,
    options: PublishOptions | None,
    spared: tuple[str, ...] = (),
) -> About | None:
    """What the broker is given to keep with a publication that the channel takes.

    Raises:
        PayloadError: It is too long to be volatile.
        ValueError: The channel does not carry what was said, or has nothing volatile.
    """
    about = carry(rule.about, None, options, spared)
    if options is not None and options.volatile:
        check_volatile(rule, key)
        most = told(rule.about, Entry(MAX_INTEGER, payload, MAX_INTEGER, about))
        if len(encode_publication(channel, bytes(8), MAX_INTEGER, payload, most)) > MAX_BODY:
            raise PayloadError(f"a volatile publication has at most {MAX_BODY} bytes in all")  # VOL-3
    return about


@contextmanager
def _as_declared() -> Generator[None]:
    """Tell the application itself what is not as it has declared."""
    try:
        yield
    except ContractBroken as broken:
        raise ValueError(f"the publication is not as declared: {broken.text()}") from None


def _check_event(rule: ChannelRule, payload: bytes, options: PublishOptions | None) -> None:
    """Refuse what is none of the events of a channel.

    Raises:
        ValueError: It is none.
    """
    if rule.events is not None:
        with _as_declared():
            rule.events.check(payload, None if options is None else options.tags)


def _declared(**rights: Right | None) -> dict[str, Right]:
    return {action: right for action, right in rights.items() if right is not None}


async def _collect(session: Session, channel: Any, wait_ms: Any, data: Any) -> AsyncIterator[Any]:
    """Ask the members of a channel (SPEC ASK-3)."""
    well_formed = isinstance(channel, str) and isinstance(wait_ms, int) and isinstance(data, bytes)
    if not well_formed or wait_ms < 0:
        raise CallError(ErrorCode.BAD_REQUEST, "the arguments are channel, wait_ms and data")
    async with aclosing(session.collect(channel, wait_ms, data)) as items:
        async for item in items:
            yield item
