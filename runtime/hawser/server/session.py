"""A session as handlers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hawser.calls import Returned
    from hawser.principals import Principal
    from hawser.streams import Stream
    from hawser_engine.messages import Position

    from .assigning import Assigner
    from .calling import ClientCalls


@attrs.define(eq=False)
class Session:
    """One conversation with one client, over however many connections.

    Handlers get it as their first argument. It is the same object from `App.on_connect` to `App.on_disconnect`.
    """

    principal: Principal
    """Who is at the other end; stays the same for the whole session (SPEC SEC-4)."""
    number: int
    """Counts the sessions of this server from 1 on; for logs, and good for nothing else."""
    _calls: ClientCalls = attrs.field(repr=False)
    _assigner: Assigner = attrs.field(repr=False)
    data: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """Whatever the application wants to keep for this session; gone when the session ends."""

    @property
    def id(self) -> str:
        """Names the session among all as long as it lives, for `hawser.to.session`; the same as `Member.id`."""
        return self._calls.session_id()

    async def call(self, procedure: str, *arguments: object, **named: object) -> Any:
        """Call a procedure of the client and wait for its result.

        It survives broken links like everything else: the client answers when it is back. The deadline of the
        surrounding cancel scope travels with the call; leaving it tells the client to cancel.

        Args:
            procedure: Its name, as the client registered it with `Client.procedure` or ``connect(procedures=…)``.
            arguments: Positional arguments; the same kinds of values as ``data`` of `App.publish`.
            named: Named arguments; either these or positional ones, not both.

        Returns:
            What the procedure returned.

        Raises:
            TypeError: Both positional and named arguments were given.
            PayloadError: The arguments cannot travel, or the result is no payload.
            CallError: The client answered with an error, NOT_FOUND where it has no such procedure.
            OutcomeUnknown: The session ended before the answer came; it may have been carried out.
            NotSent: The session ended before the call left.

        Spec: CAL-1 to CAL-4.
        """
        return await self._calls.call(procedure, arguments, named)

    async def subscribe(
        self,
        channel: str,
        *,
        since: Position | None = None,
        rewind: int | None = None,
        rewind_seconds: float | None = None,
    ) -> None:
        """Subscribe the client to a channel; nobody is asked whether it may.

        Its program gets the subscription by ``connect(assigned=…)``. It lives through broken links, and ends with the
        session; `App.on_connect` is where to make it for each. A client that is in the channel already stays there, as
        it is. To one that has no link it is told when it is back, together with what is published meanwhile.

        Args:
            channel: The channel's name; no pattern.
            since: Begin after this position; where history does not reach it, its iteration begins with `Gap`. None:
                with what is published from now on, or what the channel gives first (``last_value``), or a rewind.
            rewind: Without ``since``: begin with the last so many messages. 0: with none, whatever the channel gives.
            rewind_seconds: Without ``since``: begin with the messages of the last so many seconds.

        Raises:
            LookupError: No declared pattern matches the channel.
            TypeError: ``since`` is no position.
            ValueError: The name is a pattern, or not well-formed, or a rewind is below 0.
            RequestFailed: The client takes no subscriptions that it has not asked for (NOT_FOUND), or has as many
                channels as it may (LIMIT).
            BrokerUnavailable: The channel cannot be opened now.

        Spec: ASG-1 to ASG-4, ASG-6.
        """
        await self._assigner.subscribe(channel, since, rewind, rewind_seconds)

    async def unsubscribe(self, channel: str) -> None:
        """End a subscription of the client, whoever has asked for it: its iteration ends. Else nothing happens.

        It keeps nobody from subscribing again; that is for `ChannelRule.authorize` to say.

        Args:
            channel: The channel's name, or a pattern that the client has subscribed to.

        Spec: ASG-3.
        """
        await self._assigner.unsubscribe(channel)

    def directory(self) -> list[Any]:
        """Who offers what on this server, as it goes to clients; see `App.directory`."""
        return self._calls.agents()

    def collect(self, channel: str, wait_ms: int, data: bytes) -> AsyncGenerator[list[Any] | Returned]:
        """Ask the members of a channel for this client, as it goes to clients; see `App.collect`.

        Args:
            channel: The channel.
            wait_ms: For how long, in milliseconds.
            data: The question, encoded.
        """
        return self._calls.collect(channel, wait_ms, data)

    def stream(self, procedure: str, *arguments: object, inputs: bool = False, **named: object) -> Stream:
        """Call a procedure of the client that answers in items; as `Client.stream`.

        Args:
            procedure: As for `call`.
            arguments: As for `call`.
            inputs: Whether items are sent to the procedure, too.
            named: As for `call`.

        Spec: STR-1 to STR-5.
        """
        return self._calls.stream(procedure, arguments, named, inputs=inputs)
