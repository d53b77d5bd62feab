"""``hawser pub``: JSON lines to a channel, pipelined, each acknowledged.

Rule: the order of the input is the order of the channel, whatever happens to the line. A reset fails everything that
has no answer in one step; nothing later may leave before those publications have left again, under their old keys. So
each publication is tied to the one before it.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser import HawserError, NotSent, RequestFailed, RequestLost
from hawser.about import publish_options

from . import DONE, WRONG_USAGE, CommandFailed
from .jsontext import check_payload, parse_json
from .running import Dial, explain, report_line, run_command
from .standard import STDIN, say
from .streams import BadInput, Input, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from hawser import Client, Receipt

    from .arguments import Place


def run_pub(place: Place, channel: str, data: str | None, *, text: bool, tags: Mapping[str, str]) -> int:
    """Publish one value, or each line of standard input.

    Args:
        place: The server.
        channel: The channel.
        data: The value; None for standard input.
        text: Whether lines are texts, and no JSON.
        tags: What each publication carries.

    Raises:
        CommandFailed: A line is no value, or not everything was acknowledged.
    """
    if data is None:
        if os.isatty(STDIN):
            kind = "text" if text else "JSON"
            say(f"publishing each line that you type, as {kind}; Ctrl-D ends")
        lines: AsyncIterator[Line] = Input(STDIN)
    else:
        read_line(Line(0, data), text=text)  # refused before anything is opened
        lines = _One(data)
    return run_command(partial(_pub, place, channel, lines, text, tags))


async def _pub(place: Place, channel: str, lines: AsyncIterator[Line], text: bool, tags: Mapping[str, str]) -> int:
    async with Dial(place) as client:
        await Publisher(client, channel, text=text, tell=say, tags=tags).run(lines)
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


def read_line(line: Line, *, text: bool) -> Any:
    """The value of a line.

    Raises:
        CommandFailed: It is none.
    """
    try:
        if not text:
            return parse_json(line.text)
        check_payload(line.text)
        return line.text
    except ValueError as error:
        why = f"{error}" if text else f"{error}; --text publishes lines as they are"
        if line.number:
            raise BadInput(line.number, why) from None
        raise CommandFailed(f"DATA: {why}", WRONG_USAGE) from None


class _One:
    """The data of the command line as the only line."""

    def __init__(self, data: str) -> None:
        self._data: str | None = data

    def __aiter__(self) -> _One:
        return self

    async def __anext__(self) -> Line:
        await trio.lowlevel.checkpoint()
        if self._data is None:
            raise StopAsyncIteration
        line, self._data = Line(0, self._data), None
        return line


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
        text: bool,
        tell: Callable[[str], None],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.acknowledged: int = 0
        self._tags = tags
        self._client = client
        self._channel = channel
        self._text = text
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
                if self._text or line.text.strip():
                    return _Publication(line.number, read_line(line, text=self._text))
        except BadInput as bad:
            self._bad = bad
        return None

    async def _hand_over(self, publication: _Publication) -> None:
        try:
            publication.receipt = self._last = await self._client.submit(
                self._channel, publication.value, key=publication.key, after=self._last, tags=self._tags
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
                for publication in self._open:  # all of them were lost in the same step
                    publication.receipt = None
                self._last = None
                scope.cancel(reason="the session was reset")
                return
            except RequestFailed as error:
                refused = self._open.popleft()
                where = f"line {refused.number}: " if refused.number else ""
                raise CommandFailed(f"{where}refused: {error}{self._left_open()}") from None
            except HawserError as error:
                raise self._failed(error) from None
            self._open.popleft()
            self.acknowledged += 1

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
