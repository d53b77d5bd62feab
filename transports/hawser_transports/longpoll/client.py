"""The client's end: a link whose batches travel in requests."""

from __future__ import annotations

import logging
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

import trio
from trio.lowlevel import spawn_system_task

from hawser_engine.bindings.longpoll import ClientPoll

from .asking import FAILURES
from .ends import PollLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser_engine.bindings.http import Reply, Request

    from .asking import Asking
    from .settings import PollSettings

_log: Final = logging.getLogger("hawser.longpoll")

_FIRST_PAUSE_SECONDS: Final = 0.1


class PollClientLink(PollLink):
    """The client's end of a long-poll connection.

    Each request is a system task, for a link belongs to nobody's nursery: `Transport.connect` returns it.
    """

    def __init__(
        self, asking: Asking, description: str, settings: PollSettings, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Make a link; it asks nothing before the session attaches.

        Args:
            asking: It belongs to the link from now on.
            description: For people.
            settings: Limits and times.
            random_bytes: Where the pauses between tries come from.
        """
        self._client_poll = poll = ClientPoll()
        super().__init__(poll, description, settings)
        self._asking = asking
        self._settings = settings
        self._random_bytes = random_bytes
        self._tasks: dict[Request, trio.CancelScope] = {}
        self._parked: trio.CancelScope | None = None
        self._answered_by = inf
        self._lost: str | None = None

    # Requests

    def _flush(self) -> None:
        if self._lost is not None:
            return
        if self._leaving:  # nobody takes anything any more, and so nothing is waited for
            self._client_poll.batches()
            self._client_poll.taken()
        for request in self._client_poll.requests():
            self._start(request)
        if self._tasks:
            for request, scope in list(self._tasks.items()):
                if not self._client_poll.wants(request):
                    scope.cancel(reason="its reply is of no interest any more")

    def _start(self, request: Request) -> None:
        scope = self._tasks[request] = trio.CancelScope()
        spawn_system_task(self._run, request, scope, name=f"{request.method} of {self._description}")

    async def _run(self, request: Request, scope: trio.CancelScope) -> None:
        """Make a request until there is a reply that means something, or it is of no interest any more."""
        try:
            with scope:
                tries = 0
                again: Request | None = request
                while again is not None:
                    if again is not request:
                        self._tasks[again] = self._tasks.pop(request)
                        request = again
                        self._flush()  # there may be more to ask for now
                    again = await self._try(request, tries)
                    tries += 1
        except Exception:  # a system task that raises ends the whole program
            _log.exception("a request failed: %s", self._description)
            self._break()
        finally:
            del self._tasks[request]

    async def _try(self, request: Request, tries: int) -> Request | None:
        """Make a request once and return what to make after it, if it has to be made again."""
        poll = self._client_poll
        reply = await self._ask(request)
        retry = poll.fail(request) if reply is None else poll.receive(request, reply)
        self.arrived()
        if retry is None:
            return None
        if retry.after_seconds is not None:
            await trio.sleep(retry.after_seconds)
            return request
        await trio.sleep(self._pause(tries))
        return poll.again(request)

    async def _ask(self, request: Request) -> Reply | None:
        """Make a request once; None if that fails."""
        if request.method == "GET":
            return await self._park(request)
        deadline = trio.move_on_after(self._settings.post_seconds)
        with deadline, suppress(*FAILURES):
            return await self._asking.ask(request)
        if deadline.cancelled_caught and self._parked is not None:
            # What has swallowed the POST is likely to swallow the reply to the GET, which is made again at once
            # (SPEC CAR-16). It would wait far longer: a client that has moved to another network, half a minute.
            self._answered_by = min(self._answered_by, self._parked.deadline)
            self._parked.cancel(reason="a POST was not answered")
        return None

    async def _park(self, request: Request) -> Reply | None:
        """Make a GET once; None if that fails. One that is made again in doubt has no more time than the first had."""
        self._parked = parked = trio.CancelScope()
        parked.deadline = min(self._answered_by, trio.current_time() + self._settings.get_seconds)
        reply: Reply | None = None
        with parked, suppress(*FAILURES):
            reply = await self._asking.ask(request)
            self._answered_by = inf
        self._parked = None
        if parked.cancelled_caught and trio.current_time() >= parked.deadline:
            self._lost = "a GET was not answered in time"
            self._break()
        return reply

    def _pause(self, tries: int) -> float:
        """Seconds until the next try: none before the first, for a kept connection may have been closed meanwhile."""
        if not tries:
            return 0.0
        longest = min(self._settings.retry_seconds, _FIRST_PAUSE_SECONDS * float(2 ** min(tries, 10)))
        return longest * int.from_bytes(self._random_bytes(4), "big") / 2**32

    # The end

    def drop(self) -> None:
        """See `Link.drop`: no request is made any more, and none that waits for its reply goes on."""
        self._lost = self._lost or "a newer link has the session"
        self._break()

    def _begin_close(self) -> None:
        self._client_poll.close()

    def _is_leaving(self) -> bool:
        return not self._is_over()

    def _break(self) -> None:
        self._lost = self._lost or "closed by this side"
        for scope in self._tasks.values():
            scope.cancel(reason=self._lost)
        self._asking.close()
        self._moved.unpark_all()

    def _is_over(self) -> bool:
        return self._lost is not None or self._client_poll.ended is not None

    def _check_ended(self) -> None:
        if self._lost is not None:
            raise trio.BrokenResourceError(f"the link is lost: {self._lost}")
        super()._check_ended()
