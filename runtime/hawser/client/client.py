"""What a program holds of a conversation: publish, subscribe, call, watch."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from hawser import pages
from hawser import to as addresses
from hawser.about import OPTION_BYTES, publish_options
from hawser.addressing import listed
from hawser.amounts import check_seconds
from hawser.answers import COLLECT_PROCEDURE, Answer, Collected
from hawser.errors import CallError, RequestFailed
from hawser.members import encode_info
from hawser.payloads import decode_payload, encode_payload
from hawser.principals import check_handler, check_list, check_name
from hawser.streams import CallerFlow, Stream
from hawser.subscribing import check_since, subscribe_options
from hawser_engine.calls import Call, Cancel
from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.channels.segments import is_pattern
from hawser_engine.codes import ErrorCode
from hawser_engine.mailboxes import Post
from hawser_engine.messages import Publish, Send, Target, encode_body

from .directory import AgentWorker, Directory, load_workers
from .directs import Directs
from .feed import Feed
from .keys import KeyMaker
from .mailboxes import Mailbox
from .offering import Offering
from .operations import Kind, Pending, Receipt
from .presence import Presence
from .reading import read_page
from .streaming import open_stream
from .subscription import Subscription
from .wildcards import PatternFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hawser.addressing import Outcome, Sent
    from hawser.answers import Answering
    from hawser.brokers import Published
    from hawser.calls import ProcedureHandler
    from hawser.pages import Page
    from hawser_engine.messages import Position

    from .dialogue import Dialogue
    from .states import State, StateStream

Handler = TypeVar("Handler", bound="ProcedureHandler")

HEAD_BYTES = 1_024
"""What a request has beside its payload, at most: names, a key and heads."""

GOODBYE_SECONDS = 1.0
"""How long the last words may take to leave."""


class Client:
    """A client; `connect` makes it. Its methods may be used by any number of tasks at once.

    What is sent while there is no link waits in bounds and leaves with the next one; what was sent comes through
    exactly once, in order. When the session is lost, every request without an answer ends in `OutcomeUnknown` or
    `NotSent`, `states` reports the reset, and subscriptions go on from where they are.
    """

    def __init__(self, dialogue: Dialogue, random_bytes: Callable[[int], bytes]) -> None:
        self._dialogue = dialogue
        self._keys = KeyMaker(random_bytes)

    @property
    def state(self) -> State:
        """What the client is doing now."""
        return self._dialogue.state

    @property
    def states(self) -> StateStream:
        """A new stream of states, beginning with the present one: ``async for state in client.states``."""
        return self._dialogue.watch()

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        key: bytes | None = None,
        ttl: float | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        except_me: bool = False,
        volatile: bool = False,
    ) -> Published:
        """Publish to a channel and wait until the server has accepted it.

        Cancelled while it waits for room, nothing was published. Cancelled while it waits for the answer, it may have
        been: publish again with the same key, and it is published once.

        Args:
            channel: The channel's name, 1 to 255 bytes of UTF-8.
            data: None, bool, int within ±2^53, float, str, bytes, and lists, tuples and dicts of them.
            key: An idempotency key of 1 to 64 bytes; one that nobody else uses if not given.
            ttl: For a client with an outbox: how many seconds it may wait there to be sent, if less than the outbox
                allows.
            tags: At most eight words about it, by name, for the filters of subscribers: names of 1 to 32 bytes,
                values of at most 64. Only in channels that declare ``about=["tags"]``.
            latest_key: What it is the newest of, 1 to 64 bytes: a room, a symbol, a player. Only in channels that
                declare ``about=["latest_key"]`` or ``overflow="keep-latest"``.
            except_me: Give it to all subscribers but this session.
            volatile: Give it at once to whoever keeps up, and to nobody else: it is kept nowhere, and whoever is behind
                does not get it. It has no offset of its own, and no key; an outbox does not hold it. Only in channels
                that declare ``volatile=True``.

        Returns:
            The position that it got, and whether the key had been published before.

        Raises:
            PayloadError: The data cannot travel; nothing was sent.
            RequestFailed: The server refused it, for example DENIED, NOT_FOUND or TOO_LARGE, or BAD_REQUEST where the
                channel carries no tags.
            OutcomeUnknown: The session was reset; it may have been published. Publish again with ``error.key``. A
                client with an outbox has done so, as long as that is safe.
            NotSent: The session was reset before it left. Not with an outbox.
            Expired: It waited in the outbox for too long, and was not sent.
            OutboxFull: The outbox has no room; nothing was accepted.
            SessionClosed: The client is closed.
            ValueError: As for `submit`.

        Spec: PUB-1, PUB-3, PUB-7, ADR-8.
        """
        receipt = await self.submit(
            channel,
            data,
            key=key,
            ttl=ttl,
            tags=tags,
            latest_key=latest_key,
            except_me=except_me,
            volatile=volatile,
        )
        return await receipt.wait()

    async def submit(
        self,
        channel: str,
        data: object,
        *,
        key: bytes | None = None,
        ttl: float | None = None,
        after: Receipt | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        except_me: bool = False,
        volatile: bool = False,
    ) -> Receipt:
        """Hand a publication over without waiting for its answer; for many in a row.

        Publications are handed over, and handled, in the order of the calls. It waits only for room: at most 256
        requests or 1 MiB of them are unanswered at a time. Cancelled, nothing was published. With an outbox it waits
        for nothing.

        Args:
            channel: As for `publish`.
            data: As for `publish`.
            key: As for `publish`.
            ttl: As for `publish`.
            after: A publication of this client that must not have been lost. What waits for room while the session
                is reset goes to the next session, and so before whatever is published again because of the reset;
                with the receipt of the publication before it, it does not. An outbox keeps the order by itself.
            tags: As for `publish`.
            latest_key: As for `publish`.
            except_me: As for `publish`.
            volatile: As for `publish`.

        Returns:
            A receipt whose ``wait()`` returns and raises what `publish` does.

        Raises:
            PayloadError: The data cannot travel; nothing was sent.
            NotSent: The publication named by ``after`` was lost in a reset; nothing was sent.
            OutboxFull: The outbox has no room; nothing was accepted.
            SessionClosed: The client is closed.
            ValueError: The client has no outbox for ``ttl``, or that is no time; or key or tags are too long or too
                many; or something volatile is given an idempotency key or a time.

        Spec: OPS-1, OPS-2.
        """
        check_name("a channel name", channel)
        check_key(key)
        payload = encode_payload(data)
        if volatile and (key is not None or ttl is not None):
            raise ValueError("a volatile publication has neither an idempotency key nor a time to wait")
        own_key = None if volatile else self._keys.next() if key is None else key
        options = publish_options(tags, latest_key, except_me=except_me, volatile=volatile)
        size = len(payload) + HEAD_BYTES + (0 if options is None else OPTION_BYTES)

        def encode(id: int) -> bytes:
            if except_me:
                self._dialogue.directs.check_feature()
            return encode_body(Publish(id, channel, payload, own_key, options))

        postman = self._dialogue.postman
        if ttl is not None and (postman is None or not ttl > 0):
            raise ValueError(f"ttl is {ttl!r}; it must be above 0, and connect be given an outbox")
        if postman is not None and own_key is not None:
            await trio.lowlevel.checkpoint()
            return postman.accept(channel, size, own_key, encode, ttl)
        pending = Pending(Kind.PUBLISH, channel, size, own_key)
        pending.after = None if after is None else after.pending
        await self._dialogue.request(pending, encode)
        return Receipt(pending, own_key)

    async def post(
        self, mailbox: str, data: object, *, key: bytes | None = None, ttl: float | None = None
    ) -> Published:
        """Put a letter into a mailbox and wait until the server has stored it.

        Cancelled while it waits for room, nothing was posted. Cancelled while it waits for the answer, it may have
        been: post again with the same key, and it is stored once.

        Args:
            mailbox: Whose: ``user:`` and the id of a principal, or ``agent:`` and a name.
            data: The same kinds of values as for `publish`.
            key: An idempotency key of 1 to 64 bytes; one that nobody else uses if not given.
            ttl: After so many seconds it is not delivered any more, if the server does not say less.

        Returns:
            The position that names the letter, and whether one had been posted under the key before.

        Raises:
            PayloadError: The data cannot travel; nothing was sent.
            RequestFailed: The server refused it: DENIED; NOT_FOUND where there is no such mailbox; BUSY, temporary,
                where the mailbox is full; UNAVAILABLE where it could not be stored, temporary unless the store has to
                be mended.
            OutcomeUnknown: The session was reset; it may have been stored. Post again with ``error.key``.
            NotSent: The session was reset before it left.
            SessionClosed: The client is closed.
            ValueError: Name or key have a wrong length, or ``ttl`` is no time.

        Spec: MBX-1, MBX-3.
        """
        check_name("the name of a mailbox", mailbox)
        if key is not None and not 1 <= len(key) <= 64:
            raise ValueError(f"an idempotency key has 1 to 64 bytes, this one has {len(key)}")
        if ttl is not None:
            check_seconds("ttl", ttl)
        payload = encode_payload(data)
        own_key = self._keys.next() if key is None else key
        ttl_ms = None if ttl is None else round(ttl * 1_000)
        pending = Pending(Kind.POST, mailbox, len(payload) + HEAD_BYTES, own_key)
        await self._dialogue.mailboxes.request(
            pending, lambda id: encode_body(Post(id, mailbox, payload, own_key, ttl_ms))
        )
        published: Published = await pending.wait()
        return published

    async def history(
        self, channel: str, *, limit: int = 100, before: Position | None = None, since: Position | None = None
    ) -> Page:
        """Read what a channel keeps, a page at a time, subscribed or not.

        Back from the end, as people scroll up in a chat: ``page = await client.history("room:lobby")``, and as long as
        ``page.next`` is something ``page = await client.history("room:lobby", before=page.next)``. Or on from a
        position, with ``since=page.next``.

        It reads again by itself if its session is reset.

        Args:
            channel: The channel's name, 1 to 255 bytes of UTF-8.
            limit: At most so many publications, and never more than 128 or than fit into a message; 0: none, but
                `Page.position`.
            before: What lies below this position is wanted, the newest of it; None: all up to the end.
            since: What lies behind this position is wanted, the oldest of it; None: the newest.

        Raises:
            PayloadError: The server does not take so long a message.
            RequestFailed: The server refused it: DENIED to whoever may not subscribe to the channel, or not read its
                history; NOT_FOUND where there is no such channel, or the server gives no pages; UNAVAILABLE
                where it could not be read, temporary unless the store has to be mended.
            SessionClosed: The client is closed.
            TypeError: ``before`` or ``since`` is no position.
            ValueError: The name has a wrong length, or ``limit`` is no number of 0 or more.

        Spec: PGE-1 to PGE-5.
        """
        check_name("the name of a channel", channel)
        return await read_page(self._dialogue, pages.ask(channel, since, before, limit))

    def mailbox(self, mailbox: str | None = None) -> Mailbox:
        """Hold a mailbox: ``async with client.mailbox() as letters: async for letter in letters``.

        One session at a time holds a mailbox; others wait until it has ended. Each letter is acknowledged when the
        iteration moves on, and removed then.

        Args:
            mailbox: Whose: ``user:`` and the id of a principal, or ``agent:`` and a name; None: one's own. Once at a
                time for each client, by whichever name.

        Returns:
            The mailbox, to be entered.

        Raises:
            ValueError: The name is not well-formed.

        Spec: MBX-5 to MBX-8, MBX-15.
        """
        if mailbox is not None:
            check_name("the name of a mailbox", mailbox)
        config = self._dialogue.config
        return Mailbox(self._dialogue, mailbox, config.mailbox_letters, config.mailbox_bytes)

    async def send(
        self,
        to: addresses.Target | Sequence[addresses.Target],
        data: object,
        *,
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        except_me: bool = False,
        volatile: bool = False,
    ) -> Sent:
        """Send something to somebody: ``await client.send(to.user("ada"), "hello")``, with ``from hawser import to``.

        What becomes of it is said for each target, as `Outcome`. A target that is refused touches no other, and is no
        error of the whole. What no session of a user or an agent takes is kept in its mailbox, if it has one to which
        this client may post: the outcome is ``queued``, and the letter is stored.

        Cancelled while it waits for room, nothing was sent. Cancelled while it waits for the answer, it may have been.

        Args:
            to: One target or several, up to 64; each session gets it once, however many of them mean it.
            data: The same kinds of values as for `publish`.
            key: An idempotency key for the channels and the mailboxes of the targets, as for `publish` and `post`.
            tags: As for `publish`; only where all targets are channels.
            latest_key: As for `publish`; only where all targets are channels.
            except_me: Give it to everybody whom the targets mean but this session.
            volatile: Give it to whoever takes it now, and keep it nowhere: not in a mailbox, and in a channel as
                `publish` does.

        Returns:
            What became of it, for each target.

        Raises:
            PayloadError: The data cannot travel; nothing was sent.
            RequestFailed: The server knows no addressing, or has too much to do; nothing was sent.
            OutcomeUnknown: The session was reset; it may have been sent. Again under ``error.key`` it is published
                once and queued once, and a mailbox that has it keeps it from sessions, too; what sessions had taken
                they may get again.
            NotSent: The session was reset before it left.
            SessionClosed: The client is closed.
            TypeError: Something is no target; `hawser.to` makes them.
            ValueError: There is no target, or there are too many; or key or tags are too long or too many; or something
                volatile has a key, or a target that is no channel has tags or a latest key.

        Spec: ADR-1 to ADR-8, ADR-10, ADR-13, ADR-14.
        """
        options = publish_options(tags, latest_key, except_me=except_me, volatile=volatile)
        targets = listed(to, options)
        check_key(key)
        if volatile and key is not None:
            raise ValueError("what is volatile has no idempotency key")
        payload = encode_payload(data)
        own_key = None if volatile else self._keys.next() if key is None else key
        size = len(payload) + HEAD_BYTES + (0 if options is None else OPTION_BYTES)
        size += sum(len(one.name or "") * 4 + 8 for one in targets)

        def encode(id: int) -> bytes:
            self._dialogue.directs.check_feature()
            wanted = tuple(Target(one.kind, one.name) for one in targets)
            return encode_body(Send(id, wanted, payload, own_key, options))

        pending = Pending(Kind.SEND, ", ".join(one.name or "everybody" for one in targets), size, own_key)
        pending.targets = targets
        await self._dialogue.request(pending, encode)
        sent: Sent = await pending.wait()
        return sent

    async def publish_to(
        self,
        channels: Sequence[str],
        data: object,
        *,
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
        except_me: bool = False,
    ) -> list[Outcome]:
        """Publish to several channels at once, with one request: all have it, or are refused, each for itself.

        Args:
            channels: 1 to 64 of them.
            data: As for `publish`.
            key: As for `publish`; the same in all channels.
            tags: As for `publish`; a channel that carries none refuses.
            latest_key: As for `publish`; likewise.
            except_me: As for `publish`.

        Returns:
            For each channel its `Outcome`: ``published``, ``duplicate`` or ``refused``.

        Raises:
            PayloadError: As for `send`.
            RequestFailed: As for `send`.
            OutcomeUnknown: The session was reset; publish again with ``error.key``, and it is published once.
            NotSent: As for `send`.
            SessionClosed: As for `send`.
            TypeError: ``channels`` is a string.
            ValueError: There is no channel, or there are too many, or a name, the key or tags cannot travel.

        Spec: ADR-7.
        """
        check_list("channels", channels)
        targets = [addresses.channel(name) for name in channels]
        sent = await self.send(targets, data, key=key, tags=tags, latest_key=latest_key, except_me=except_me)
        return list(sent.outcomes)

    def directs(self) -> Directs:
        """Take what is sent to this client: ``async with client.directs() as directs: async for direct in directs``.

        Who is not in such a block is not there for whoever sends. What comes waits for the iteration, within bounds
        (`Config.direct_messages`): who sends more is told that it was not taken.

        Returns:
            What comes, to be entered; once at a time for each client.

        Spec: ADR-3 to ADR-5.
        """
        return Directs(self._dialogue)

    async def call(self, procedure: str, *arguments: object, **named: object) -> Any:
        """Call a procedure of the server and wait for its result.

        The deadline of the surrounding cancel scope travels with the call. Leaving it, or any other cancellation,
        tells the server to cancel the procedure.

        Args:
            procedure: Its name, 1 to 255 bytes of UTF-8.
            arguments: Positional arguments; the same kinds of values as ``data`` of `publish`.
            named: Named arguments; either these or positional ones, not both.

        Returns:
            What the procedure returned.

        Raises:
            TypeError: Both positional and named arguments were given.
            PayloadError: The arguments cannot travel, or the result is no payload.
            CallError: The server or the procedure answered with an error.
            OutcomeUnknown: The session was reset before the answer came; it may have been carried out.
            NotSent: The session was reset before it left.
            SessionClosed: The client is closed.

        Spec: CAL-1 to CAL-4.
        """
        check_name("a procedure name", procedure)
        if arguments and named:
            raise TypeError("a call has positional or named arguments, not both")
        payload = encode_payload(named or list(arguments))
        pending = Pending(Kind.CALL, procedure, len(payload) + HEAD_BYTES)
        deadline = trio.current_effective_deadline()
        call_id = 0

        def encode(id: int) -> bytes:
            nonlocal call_id
            call_id = id
            return encode_body(Call(id, procedure, payload, self._dialogue.deadline_ms(deadline)))

        await self._dialogue.request(pending, encode)
        try:
            data = await pending.wait()
        except RequestFailed as error:
            if error.code == ErrorCode.DEADLINE and deadline != inf:
                # The other side saw the deadline a moment earlier. It is the scope's to say so, unless it was moved.
                await trio.sleep_until(deadline)
            raise CallError(error.code, error.message, temporary=error.temporary, data=error.data) from None
        finally:
            if not pending.answered:
                self._dialogue.tell(encode_body(Cancel(call_id)))
        return decode_payload(data)

    def stream(self, procedure: str, *arguments: object, inputs: bool = False, **named: object) -> Stream:
        """Call a procedure that answers in items: ``async with client.stream("agent.search", "boats") as items``.

        Deadline and cancelling are those of `call`, from entering on. Leaving the block cancels a procedure that has
        not ended.

        Args:
            procedure: As for `call`; one that returns a value and has no items is called as well.
            arguments: As for `call`.
            inputs: Whether items are sent to the procedure, too, with `Stream.send`.
            named: As for `call`; a procedure with an argument of the name ``inputs`` gets positional ones.

        Returns:
            The stream, to be entered.

        Raises:
            TypeError: Both positional and named arguments were given.
            PayloadError: The arguments cannot travel.

        Spec: STR-1 to STR-5.
        """
        check_name("a procedure name", procedure)
        if arguments and named:
            raise TypeError("a call has positional or named arguments, not both")
        payload = encode_payload(named or list(arguments))
        config = self._dialogue.config
        flow = CallerFlow(self._dialogue.tell, config.stream_items, config.stream_bytes, inputs=inputs)
        return Stream(flow, partial(open_stream, self._dialogue, procedure, payload, flow), inputs=inputs)

    async def collect(self, channel: str, data: object, *, seconds: float = 5.0) -> Collected:
        """Ask all who subscribe to a channel and answer, and wait for what they say; not this client itself.

        Who subscribes and has given no ``answers`` is not asked; `Collected.unasked` says how many they are.

        Args:
            channel: The channel's name.
            data: What they get as ``question.data``; the same kinds of values as for `publish`, of at most about
                64 KiB when encoded.
            seconds: For how long; whoever has not answered then counts as silent, and is told to cancel.

        Returns:
            What came of it, for each member that was asked, and for each server that is unreached.

        Raises:
            PayloadError: The data cannot travel.
            CallError: Nobody was asked: DENIED, LIMIT where more members answer than may be asked at once, NOT_FOUND
                where the service lets no client ask.
            OutcomeUnknown: The session was reset meanwhile.
            NotSent: The session was reset before the question left.
            SessionClosed: The client is closed.
            TypeError: ``seconds`` is no number.
            ValueError: ``seconds`` is not above 0, or not finite.

        Spec: ASK-2 to ASK-6.
        """
        check_name("a channel name", channel)
        check_seconds("seconds", seconds)
        wait_ms = round(min(seconds * 1e3, MAX_INTEGER))  # one that is too long for the server is refused by it
        try:
            async with self.stream(COLLECT_PROCEDURE, channel, wait_ms, encode_payload(data)) as items:
                answers = [Answer.read(item) async for item in items]
        except CallError as error:
            if error.code != ErrorCode.NOT_FOUND:
                raise
            message = "this service lets no client ask; App.channel(…, ask=…) says who may"
            raise CallError(error.code, message, temporary=error.temporary, data=error.data) from None
        return Collected.read(answers, items.result)

    def procedure(self, name: str) -> Callable[[Handler], Handler]:
        """Register something that the server calls: ``async def handler(*arguments) -> value``.

        It runs in a task of its own. It raises `CallError` to answer with that error; everything else that it raises
        reaches the server as INTERNAL with an incident number. What the server may call at once is better given to
        ``connect(procedures=…)``: until it is registered, the answer is NOT_FOUND.

        Args:
            name: What the server calls it, 1 to 255 bytes of UTF-8.

        Raises:
            TypeError: The name is no string, or the handler is no async function.
            ValueError: The name is taken or not well-formed.
        """
        check_name("a procedure name", name, write='@client.procedure("name")')

        def register(handler: Handler) -> Handler:
            self._dialogue.offer.add(name, handler)
            return handler

        return register

    def offer(
        self,
        agent: str,
        *procedures: ProcedureHandler,
        worker: str | None = None,
        doc: str = "",
        capabilities: Sequence[str] = (),
    ) -> Offering:
        """Offer procedures to other clients: ``async with client.offer("researcher", search, summarize):``.

        Others call them as ``client.call("researcher.search", …)``. Several clients may offer one agent: they take
        calls in turn. Each call runs in a task of its own, and raises `CallError` as in `procedure`.

        Whoever waits for an agent that stays away is told when its session is over: after 10 s if it was opened with
        ``connect(…, agent=True)``, and else after 120 s, as the log says then.

        Args:
            agent: Its name, 1 to 127 bytes of UTF-8 without a full stop.
            procedures: Async functions; their names, signatures and docstrings are what others see of them.
            worker: A name for this one of the workers, which stays the same when its program is started again: then the
                new one takes the place of the old one at once, and whoever waits for that is told.
            doc: What the agent is, for others.
            capabilities: What it is able to do, in words that others look for.

        Returns:
            The offer, to be entered.

        Raises:
            TypeError: One of them is no async function, or ``doc`` no text, or ``capabilities`` no list of words.
            ValueError: A name or a description cannot travel, or is there twice.

        Spec: AGT-1 to AGT-7, AGT-9.
        """
        return Offering(self._dialogue, agent, procedures, worker=worker, doc=doc, capabilities=capabilities)

    async def agents(self) -> list[AgentWorker]:
        """Ask who offers what now, by agent and in the order in which they came.

        Where several servers are one service it is what is offered at this client's server, and so what it can call;
        ``send(to.agent(…), …)`` reaches the workers of all.

        Raises:
            CallError: The server has no directory (NOT_FOUND), or does not let this client see it (DENIED).
            OutcomeUnknown: The session was reset meanwhile; ask again.
            SessionClosed: The client is closed.

        Spec: AGT-11.
        """
        _, _, workers = await load_workers(self)
        return sorted(workers, key=lambda one: (one.agent, one.id))

    def watch_agents(self) -> Directory:
        """Watch who offers what: ``async with client.watch_agents() as directory: async for workers in directory``.

        Once at a time for each client. It shows the same server as `agents`, and after a reset perhaps another one.

        Spec: AGT-12 to AGT-14.
        """
        return Directory(self, self._dialogue)

    def subscribe(
        self,
        channel: str,
        *,
        since: Position | None = None,
        rewind: int | None = None,
        rewind_seconds: float | None = None,
        filter: str | None = None,
        answers: Answering | None = None,
    ) -> Subscription:
        """Subscribe to a channel: ``async with client.subscribe("room:lobby") as messages``.

        Args:
            channel: The channel's name, 1 to 255 bytes of UTF-8. Once at a time for each client. A name with ``*`` in
                the place of segments between colons, such as ``orders:*:status``, is a pattern: it brings what is
                published in all channels of that form from now on, and ``message.channel`` says in which. No two
                patterns of a client may have a channel in common.
            since: Go on after this position (``message.position`` of an earlier subscription); if history no longer
                reaches it, the iteration begins with `Gap`. None begins with what is published from now on, or as
                ``rewind`` says.
            rewind: Without ``since``: begin with the last so many messages, as far as they are kept. 0 begins with what
                is published from now on, whatever the channel declares.
            rewind_seconds: Without ``since``: begin with the messages of the last so many seconds; with ``rewind``,
                with what both allow.
            filter: What the tags of a message have to fulfil, such as ``'kind == "goal" and minute > 80'``; everything
                else is passed over, and is no gap.
            answers: ``async def handler(question) -> value``, which answers what the members of the channel are asked
                by `Client.collect` or `App.collect`, as long as the subscription stands. It runs in a task of its own,
                and raises `CallError` to refuse.

        Returns:
            The subscription, to be entered.

        Raises:
            TypeError: ``answers`` is no async function, ``since`` no position, or the filter no text.
            ValueError: The name is not well-formed, a rewind is below 0, the filter is none, or a pattern has
                ``since``, a rewind or ``answers``.

        Spec: SUB-2, SUB-10, SUB-12, ASK-1, WLD-1 to WLD-8.
        """
        check_name("a channel name", channel)
        check_since(since)
        if answers is not None:
            check_handler(answers, "answers")
        options = subscribe_options(rewind, rewind_seconds, filter, answers=answers is not None)
        config = self._dialogue.config
        if is_pattern(channel):
            if since is not None or rewind is not None or rewind_seconds is not None:
                raise ValueError("a pattern is live: it has neither since nor a rewind")
            if answers is not None:
                raise ValueError("the members of a channel are asked, and a pattern is none")
            limits = {"messages_max": config.subscription_messages, "bytes_max": config.subscription_bytes}
            return Subscription(self._dialogue, PatternFeed(channel, **limits), options)
        feed = Feed(
            channel,
            since,
            messages_max=config.subscription_messages,
            bytes_max=config.subscription_bytes,
            filtered=filter is not None,
        )
        return Subscription(self._dialogue, feed, options, answers)

    def presence(self, channel: str, *, info: object = None, watch: bool = True) -> Presence:
        """See who is in a channel, be one of them, or both: ``async with client.presence("room:lobby") as presence``.

        It needs no subscription to the channel, and is none.

        Args:
            channel: The channel's name, 1 to 255 bytes of UTF-8. Once at a time for each client.
            info: Be a member that says this of itself; the same kinds of values as for `publish`, of at most 1,024
                bytes when encoded. None: be no member.
            watch: Be told who is there. With False one is only a member.

        Returns:
            The presence, to be entered.

        Raises:
            ValueError: The name is not well-formed.
            PayloadError: The info cannot travel, or is too long.

        Spec: PRS-1 to PRS-10.
        """
        check_name("a channel name", channel)
        return Presence(self._dialogue, channel, encode_info(info), watch=watch)

    async def authenticate(self, *, token: str | None = None, credentials: Mapping[str, Any] | None = None) -> None:
        """Use new credentials from now on, for example a token that replaces one that is about to expire.

        They go to the server at once, or with the next attach where there is no link. The session goes on meanwhile.
        Subscriptions that the new credentials do not allow end with DENIED; everything else stays (SPEC AUT-6).

        Cancelled, they are in use all the same.

        Args:
            token: Short for ``credentials={"token": token}``.
            credentials: What `App.authenticate` gets.

        Raises:
            SessionClosed: The server refused them, or they are another principal's; or the client is closed.
            ValueError: Token and credentials are both given, or neither.

        Spec: AUT-2, AUT-4.
        """
        if (token is None) == (credentials is None):
            raise ValueError("give a token or credentials")
        await self._dialogue.authenticate({"token": token} if credentials is None else credentials)

    async def aclose(self) -> None:
        """Say goodbye and end. Idempotent, always a checkpoint.

        What was said before leaves first, where a second is enough for that; cancelled, it is not waited for. Requests
        without an answer end in `OutcomeUnknown`, `NotSent` or `SessionClosed`; iterations end quietly.

        Spec: EXP-7.
        """
        try:
            with trio.move_on_after(GOODBYE_SECONDS):
                await self._dialogue.let_leave()
        finally:
            self._dialogue.line.close()
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(GOODBYE_SECONDS):
            await self._dialogue.line.ended.wait()


def check_key(key: bytes | None) -> None:
    """Refuse an idempotency key that cannot travel.

    Raises:
        ValueError: It is empty or too long.
    """
    if key is not None and not 1 <= len(key) <= 64:
        raise ValueError(f"an idempotency key has 1 to 64 bytes, this one has {len(key)}")
