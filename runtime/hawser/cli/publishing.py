"""``hawser pub``: JSON lines to a channel, pipelined, each acknowledged.

Rule: the order of the input is the order of the channel, whatever happens to the line. A reset fails everything that
has no answer in one step; nothing later may leave before those publications have left again, under their old keys. So
each publication is tied to the one before it.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser import HawserError, NotSent, RequestFailed, RequestLost
from hawser.about import publish_options

from . import DONE, WRONG_USAGE, CommandFailed
from .lines import open_lines, read_line
from .running import Dial, explain, report_line, run_command
from .standard import say
from .streams import BadInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from hawser import Client, Receipt

    from .arguments import Place
    from .streams import Line


def _travels(manner: Manner, _: object, latest_key: str | None) -> None:
    try:
        publish_options(manner.tags, latest_key)
    except ValueError as error:
        raise CommandFailed(f"--latest-key: {error}", WRONG_USAGE) from None


@attrs.frozen
class Manner:
    """How lines are read and published."""

    text: bool = False
    """Whether they are texts, and no JSON."""
    tags: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What each carries."""
    latest_key: str | None = attrs.field(default=None, validator=_travels)
    """What each is the newest of."""
    volatile: bool = False
    """Whether they are given at once or not at all."""


def run_pub(place: Place, channel: str, data: str | None, manner: Manner) -> int:
    """Publish one value, or each line of standard input.

    Args:
        place: The server.
        channel: The channel.
        data: The value; None for standard input.
        manner: How.

    Raises:
        CommandFailed: A line is no value, or not everything was acknowledged.
    """
    lines = open_lines(data, "publishing", text=manner.text)
    return run_command(partial(_pub, place, channel, lines, manner))


async def _pub(place: Place, channel: str, lines: AsyncIterator[Line], manner: Manner) -> int:
    async with Dial(place) as client:
        await Publisher(client, channel, tell=say, manner=manner).run(lines)
    return DONE


def read_tags(given: Sequence[str]) -> Mapping[str, str]:
    """Tags that stand on the command line as ``NAME=VALUE``.

    Raises:
        CommandFailed: One is none, or they cannot travel.
    """
    tags: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or name in tags:
            raise CommandFailed(f"--tag {one}: write NAME=VALUE, each name once", WRONG_USAGE)
        tags[name] = value
    try:
        publish_options(tags, None)
    except ValueError as error:
        raise CommandFailed(f"--tag: {error}", WRONG_USAGE) from None
    return tags


@attrs.define(eq=False)
class _Publication:
    number: int
    value: Any
    key: bytes | None = None
    """Its idempotency key, once it has been handed over for the first time."""
    receipt: Receipt | None = None
    """Where its answer arrives; None while it still has to be handed over, or has to be again."""


class Publisher:
    """Publishes lines through one client until every one of them is acknowledged."""

    def __init__(
        self,
        client: Client,
        channel: str,
        *,
        tell: Callable[[str], None],
        manner: Manner,
    ) -> None:
        self.acknowledged: int = 0
        self._lost = 0  # volatile publications that a reset left without an answer
        self._manner = manner
        self._client = client
        self._channel = channel
        self._tell = tell
        self._open: deque[_Publication] = deque()  # in the order of the input; bounded by what `submit` lets through
        self._last: Receipt | None = None
        """The publication that was handed over last, in this session."""
        self._read_all = False
        self._bad: BadInput | None = None
        self._changed = trio.Event()

    async def run(self, lines: AsyncIterator[Line]) -> None:
        """Publish all lines; where one is no value, those before it.

        Raises:
            BadInput: A line is no value; those before it are acknowledged.
            CommandFailed: Something was refused, or the client was closed.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(report_line, self._client, self._tell)
                while not self._done():
                    await self._round(lines)
                nursery.cancel_scope.cancel(reason="everything is acknowledged")
        finally:
            if self._open and trio.current_effective_deadline() == -inf:
                self._tell(f"interrupted: {self.acknowledged} acknowledged{self._left_open()}")
        if self._bad is not None:
            raise self._bad
        if self._lost:
            raise CommandFailed(f"{self._lost} without an answer; what is volatile is not published again")

    def _done(self) -> bool:
        return self._read_all and not self._open

    async def _round(self, lines: AsyncIterator[Line]) -> None:
        """Hand over what is open and what comes, until all of it is answered or a reset takes the answers away."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collect, nursery.cancel_scope)
            again = [publication for publication in self._open if publication.receipt is None]
            if any(publication.key for publication in again):
                self._tell(f"publishing {_lines(again)} again under the same keys")
            for old in again:
                await self._hand_over(old)
            while (publication := await self._next(lines)) is not None:
                self._open.append(publication)
                await self._hand_over(publication)
            self._read_all = True
            self._wake()

    async def _next(self, lines: AsyncIterator[Line]) -> _Publication | None:
        """The next line that is not blank; None if there is none, or if it is bad."""
        if self._read_all:
            return None
        try:
            async for line in lines:
                if self._manner.text or line.text.strip():
                    return _Publication(line.number, read_line(line, text=self._manner.text))
        except BadInput as bad:
            self._bad = bad
        return None

    async def _hand_over(self, publication: _Publication) -> None:
        try:
            manner = self._manner
            publication.receipt = self._last = await self._client.submit(
                self._channel,
                publication.value,
                key=publication.key,
                after=self._last,
                tags=manner.tags,
                latest_key=manner.latest_key,
                volatile=manner.volatile,
            )
        except NotSent:
            await trio.sleep_forever()  # the one before it was lost: whoever collects sees that, and begins anew
        except HawserError as error:
            raise self._failed(error) from None
        publication.key = publication.receipt.key
        self._wake()

    async def _collect(self, scope: trio.CancelScope) -> None:
        """Take the answers in order."""
        while not self._done():
            receipt = self._open[0].receipt if self._open else None
            if receipt is None:
                await self._changed.wait()
                continue
            try:
                await receipt.wait()
            except RequestLost:
                self._lose()
                scope.cancel(reason="the session was reset")
                return
            except RequestFailed as error:
                refused = self._open.popleft()
                where = f"line {refused.number}: " if refused.number else ""
                raise CommandFailed(f"{where}refused: {explain(error)}{self._left_open()}") from None
            except HawserError as error:
                raise self._failed(error) from None
            self._open.popleft()
            self.acknowledged += 1

    def _lose(self) -> None:
        """The session was reset: all that has no answer was lost in the same step."""
        self._last = None
        if self._manner.volatile:  # it has no key, so it might be given twice
            kept = deque(publication for publication in self._open if publication.receipt is None)
            self._lost += len(self._open) - len(kept)
            self._open = kept
        for publication in self._open:
            publication.receipt = None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _failed(self, error: HawserError) -> CommandFailed:
        return CommandFailed(f"{explain(error)}{self._left_open()}")

    def _left_open(self) -> str:
        return f"; {_lines(list(self._open))} without an answer" if self._open else ""


def _lines(publications: Sequence[_Publication]) -> str:
    first, last = publications[0].number, publications[-1].number
    if not first:
        return "it"
    return f"line {first}" if first == last else f"lines {first} to {last}"
