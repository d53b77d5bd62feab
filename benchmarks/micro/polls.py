"""A long-poll request from the bytes that arrive to the bytes of its reply; session and socket are not in it."""

from collections.abc import Callable

import h11

from hawser_engine.bindings.head import HeadGate, HeadLimits
from hawser_engine.bindings.http import framing, write_reply
from hawser_engine.bindings.longpoll import CONTENT_TYPE, Browsers, Fields, PollService
from hawser_engine.bindings.longpoll.fields import header_text
from hawser_engine.codec import encode, encode_message
from hawser_engine.packets import Limits, Open, Opened, ServerLimits

from .measure import Case, Plan, Round, Timed

__all__ = ["CASES"]

MESSAGE = encode_message(bytes(256), more=False)
LIMITS = HeadLimits()
WARM = 500
"""Requests per turn: so few that the processor's caches hold them, as they hold what has just come from a socket."""
ORIGIN = "https://app.example.org"
SESSION, SECRET = bytes(range(16)), bytes(range(32))
OPEN = encode(Open((1,), (), {}, None, Limits(1_000, 262_144, 1_048_576)))
OPENED = encode(Opened(1, (), SESSION, SECRET, b"1", 120_000, 25_000, 10_000, ServerLimits(9, 9, 9, 9, 9)))

OURS = "POST /hawser HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n"
BROWSER = (
    "POST /hawser HTTP/1.1\r\n"
    "Host: chat.example.org\r\n"
    "Connection: keep-alive\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36\r\n"
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    "Accept: */*\r\n"
    f"Origin: {ORIGIN}\r\n"
    "Sec-Fetch-Site: same-site\r\n"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    f"Referer: {ORIGIN}/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7\r\n"
    "Cookie: session=0f8fad5b-d9cb-469f-a165-70867728950e; theme=dark; _ga=GA1.2.1234567890.1700000000\r\n"
)
"""What a fetch of Chromium from a page of another host sends beside the headers of the protocol."""


class _Connection:
    """One long-poll connection of a service."""

    def __init__(self, lines: str) -> None:
        """Attach.

        Args:
            lines: The head of each request but for what is of this protocol.
        """
        self._lines = lines
        self._browsers = Browsers([ORIGIN])
        self._service = PollService()
        self._number = 0
        self._gate = HeadGate(request=True, limits=LIMITS)
        attach = self._service.begin("POST", Fields.written((("content-type", CONTENT_TYPE),)), len(OPEN))
        self._service.receive(attach, OPEN)
        (self._poll,) = self._service.arrivals()
        self._poll.batches()
        self._poll.send([OPENED])
        self._poll.taken()
        self._poll.answered()

    def requests(self, count: int) -> list[bytes]:
        """The POSTs that come next, each with one message."""
        first = self._number + 1
        self._number += count
        return [
            (
                f"{self._lines}"
                f"hawser-session: {header_text(SESSION)}\r\n"
                f"hawser-secret: {header_text(SECRET)}\r\n"
                "hawser-generation: 0\r\n"
                f"hawser-number: {number}\r\n"
                f"hawser-counts: {number},{number},{number}\r\n"
                f"hawser-first: {number}\r\n"
                f"content-type: {CONTENT_TYPE}\r\n"
                f"content-length: {len(MESSAGE)}\r\n\r\n"
            ).encode()
            + MESSAGE
            for number in range(first, first + count)
        ]

    def answer(self, data: bytes) -> bytes:
        """Do with a request what listener, route and link do with it, in their order."""
        head = self._gate.receive_data(data)
        assert head is not None
        frame = framing(head)
        named = head.value(b"origin")
        origin = None if named is None else named.decode("ascii")
        assert self._browsers.admits(origin)
        exchange = self._service.begin(head.start[0].decode("ascii"), Fields.of(head), frame.length)
        self._service.receive(exchange, head.rest)
        poll = exchange.poll
        assert poll is not None
        poll.batches()
        poll.taken()
        (answered,) = poll.answered()
        assert answered.reply is not None
        return write_reply(answered.reply, self._browsers.lines(origin), persists=frame.persists)


def _posts(plan: Plan, lines: str) -> Round:
    connection = _Connection(lines)
    requests: list[bytes] = []

    def reset() -> None:
        requests[:] = connection.requests(min(plan.loops, WARM))

    def run() -> int:
        for data in requests:
            connection.answer(data)
        return len(requests)

    return Round(run, reset)


def _heads(plan: Plan, lines: str, read: Callable[[bytes], object]) -> Round:
    (data,) = _Connection(lines).requests(1)

    def run() -> int:
        for _ in range(plan.loops):
            read(data)
        return plan.loops

    return Round(run)


def _at_once(data: bytes) -> object:
    return HeadGate(request=True, limits=LIMITS).receive_data(data)


def _line_by_line(data: bytes) -> object:
    gate = HeadGate(request=True, limits=LIMITS)
    gate.receive_data(data[:1])  # what comes in pieces is not usual
    return gate.receive_data(data[1:])


def _h11(data: bytes) -> object:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    return connection.next_event()


CASES: list[Case] = [
    Timed("poll: head of a POST of our client", "request", lambda plan: _heads(plan, OURS, _at_once)),
    Timed("poll: head, line by line", "request", lambda plan: _heads(plan, OURS, _line_by_line)),
    Timed("poll: head, h11", "request", lambda plan: _heads(plan, OURS, _h11)),
    Timed("poll: POST of our client, to its reply", "request", lambda plan: _posts(plan, OURS), target=25.0),
    Timed("poll: head of a POST of a browser", "request", lambda plan: _heads(plan, BROWSER, _at_once)),
    Timed("poll: head of a browser, line by line", "request", lambda plan: _heads(plan, BROWSER, _line_by_line)),
    Timed("poll: head of a browser, h11", "request", lambda plan: _heads(plan, BROWSER, _h11)),
    Timed("poll: POST of a browser, to its reply", "request", lambda plan: _posts(plan, BROWSER)),
]
