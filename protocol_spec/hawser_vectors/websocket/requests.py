"""Requests that reach a server: which upgrade it makes, and which it refuses."""

from collections.abc import Iterator
from typing import Any, Final

from .notation import ACCEPT, KEY, SUBPROTOCOL, Handshake, Text

START: Final = "GET /chat HTTP/1.1"
HEADERS: Final = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
}
ORIGIN: Final = "https://app.example"
LINE_BYTES: Final = 8_192
HEADER_LINES: Final = 64
HEAD_BYTES: Final = 16_384


def head(changed: dict[str, str | None] | None = None, *, start: str = START, behind: str = "") -> str:
    """Write a good request with headers changed, left out (None) or put behind."""
    headers: dict[str, str | None] = {**HEADERS, **(changed or {})}
    lines = [start, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join(lines) + "\r\n" + behind + "\r\n"


def padded(before: str, size: int, behind: str) -> Text:
    """Write a head in which one letter is repeated."""
    return [before, {"repeat": "x", "times": size}, behind]


def taken(description: str, request: Text, *spec: str, origins: tuple[str, ...] = ()) -> Handshake:
    """Make a case that has to be upgraded."""
    headers = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": ACCEPT,
        "sec-websocket-protocol": SUBPROTOCOL,
    }
    response = {"status": 101, "headers": headers, "absent": ["sec-websocket-extensions"]}
    given: dict[str, Any] = {"origins": list(origins), "request": request}
    return Handshake(description, (*spec, "CAR-3", "CAR-8"), "server", given, {"response": response})


def refused(
    description: str, request: Text, status: int, *spec: str, origins: tuple[str, ...] = (ORIGIN,)
) -> Handshake:
    """Make a case that has to be refused."""
    given: dict[str, Any] = {"origins": list(origins), "request": request}
    return Handshake(description, spec, "server", given, {"response": {"status": status}}, spec[0])


def cases() -> Iterator[Handshake]:
    """Yield them all."""
    yield from _taken()
    yield from _of_other_protocols()
    yield from _of_other_origins()
    yield from _of_other_forms()
    yield from _too_large()
    yield from _smuggled()


def _taken() -> Iterator[Handshake]:
    yield taken("a request of a program, which names no origin", head(), "CAR-7", origins=(ORIGIN,))
    yield taken("a page of a listed origin", head({"Origin": ORIGIN}), "CAR-7", origins=("https://a.example", ORIGIN))
    browser = head(
        {
            "Connection": "keep-alive, Upgrade",
            "Origin": ORIGIN,
            "User-Agent": "Mozilla/5.0",
            "Accept-Language": "en",
            "Cookie": "theme=dark",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        }
    )
    yield taken("compression is offered, and not negotiated", browser, "CAR-3", origins=(ORIGIN,))
    yield taken(
        "other subprotocols are offered beside", head({"Sec-WebSocket-Protocol": f"mqtt,{SUBPROTOCOL} , other.v2"})
    )
    lower = head().replace("Host", "HOST").replace("Upgrade: websocket", "upgrade:WebSocket \t")
    yield taken("names of headers in any case, blanks around values or none", lower)
    query = LINE_BYTES - len("GET /chat? HTTP/1.1")
    yield taken("a line of exactly 8,192 bytes", padded("GET /chat?", query, head(start=" HTTP/1.1")), "CAR-8")
    more = HEADER_LINES - len(HEADERS)
    yield taken("exactly 64 headers", [head()[:-2], {"repeat": "x: y\r\n", "times": more}, "\r\n"], "CAR-8")
    yield taken("exactly 16,384 bytes in all", _whole(HEAD_BYTES), "CAR-8")


def _of_other_protocols() -> Iterator[Handshake]:
    for what, value in (
        ("none", None),
        ("another", "mqtt"),
        ("another version of ours", "hawser.v2"),
        ("ours in capitals", "HAWSER.V1"),
        ("a name that begins like ours", f"{SUBPROTOCOL}.1"),
    ):
        request = head({"Sec-WebSocket-Protocol": value})
        yield refused(f"subprotocol offered: {what}", request, 400, "CAR-3")


def _of_other_origins() -> Iterator[Handshake]:
    for what, value in (
        ("one that is not in the list", "https://other.example"),
        ("null", "null"),
        ("a subdomain", "https://www.app.example"),
        ("one that ends like a listed one", "https://myapp.example"),
        ("one that begins like a listed one", "https://app.example.org"),
        ("another scheme", "http://app.example"),
        ("another port", "https://app.example:8443"),
        ("capitals", "https://APP.example"),
        ("a slash behind", "https://app.example/"),
        ("a user in front", "https://app.example@app.example"),
        ("a wildcard", "*"),
        ("an empty one", ""),
    ):
        yield refused(f"origin: {what}", head({"Origin": value}), 403, "CAR-7")
    yield refused("origin: any, where no list was given", head({"Origin": ORIGIN}), 403, "CAR-7", origins=())
    yield refused("origin: two of them", head({"Origin": ORIGIN}, behind=f"Origin: {ORIGIN}\r\n"), 400, "CAR-8")


def _of_other_forms() -> Iterator[Handshake]:
    for what, start, status in (
        ("HTTP/1.0", "GET /chat HTTP/1.0", 505),
        ("HTTP/2.0", "GET /chat HTTP/2.0", 505),
        ("POST", "POST /chat HTTP/1.1", 405),
        ("HEAD", "HEAD /chat HTTP/1.1", 405),
        ("a method in small letters", "get /chat HTTP/1.1", 405),
    ):
        yield refused(f"request line: {what}", head(start=start), status, "CAR-8")
    for what, changed, status in (
        ("no Host", {"Host": None}, 400),
        ("no Upgrade", {"Upgrade": None}, 426),
        ("Upgrade to something else", {"Upgrade": "h2c"}, 426),
        ("no Connection", {"Connection": None}, 400),
        ("Connection that does not name Upgrade", {"Connection": "keep-alive"}, 400),
        ("no version", {"Sec-WebSocket-Version": None}, 426),
        ("version 8", {"Sec-WebSocket-Version": "8"}, 426),
        ("no key", {"Sec-WebSocket-Key": None}, 400),
        ("a key of 15 bytes", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}, 400),
        ("a key that is no Base64", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ!!"}, 400),
        ("a body of no bytes", {"Content-Length": "0"}, 400),
        ("a body", {"Content-Length": "5"}, 400),
        ("a body in chunks", {"Transfer-Encoding": "chunked"}, 400),
    ):
        yield refused(f"headers: {what}", head(dict(changed)), status, "CAR-8")
    for name, value in HEADERS.items():
        yield refused(f"headers: {name} twice", head(behind=f"{name.lower()}: {value}\r\n"), 400, "CAR-8")


def _too_large() -> Iterator[Handshake]:
    query = LINE_BYTES - len("GET /chat? HTTP/1.1")
    long = padded("GET /chat?", query + 1, head(start=" HTTP/1.1"))
    yield refused("a request line of 8,193 bytes", long, 414, "CAR-8")
    header = LINE_BYTES - len("x: ")
    long = padded(head()[:-2] + "x: ", header + 1, "\r\n\r\n")
    yield refused("a header line of 8,193 bytes", long, 431, "CAR-8")
    more = HEADER_LINES - len(HEADERS) + 1
    yield refused("65 headers", [head()[:-2], {"repeat": "x: y\r\n", "times": more}, "\r\n"], 431, "CAR-8")
    yield refused("16,385 bytes in all", _whole(HEAD_BYTES + 1), 431, "CAR-8")
    yield refused("a header line without end", padded(head()[:-2], HEAD_BYTES, ""), 431, "CAR-8")


def _smuggled() -> Iterator[Handshake]:
    for what, request in (
        ("a line that ends in LF alone", head().replace("\r\nUpgrade", "\nUpgrade")),
        ("an empty line that is LF alone", head()[:-2] + "\n"),
        ("a CR inside a value", head({"X": "a\rHost: other.example"})),
        ("a NUL in a value", head({"Host": "example.org\0"})),
        ("a byte above 0x7f in a value", head({"Host": "example.\xff"})),
        ("a byte above 0x7f in the subprotocol", head({"Sec-WebSocket-Protocol": f"{SUBPROTOCOL}, \xe4"})),
        ("a header folded over two lines", head(behind="X: a\r\n b\r\n")),
        ("a blank before the colon", head(behind="Content-Length : 5\r\n")),
        ("a header without a colon", head(behind="Host\r\n")),
        ("a header without a name", head(behind=": a\r\n")),
        ("a line before the request line", "\r\n" + head()),
        ("two blanks in the request line", head(start="GET  /chat HTTP/1.1")),
        ("a tab in the request line", head(start="GET /chat\tHTTP/1.1")),
        ("a byte above 0x7f in the target", head(start="GET /\xe4 HTTP/1.1")),
        ("a target in absolute form", head(start="GET http://example.org/chat HTTP/1.1")),
        ("a target that is none", head(start="GET chat HTTP/1.1")),
        ("an answer", head(start="HTTP/1.1 101 Switching Protocols")),
    ):
        yield refused(f"form: {what}", request, 400, "CAR-33")


def _whole(size: int) -> Text:
    """Write a good request of so many bytes, in lines that are short enough."""
    before = head()[:-2]
    half = "".join(("a: ", "\r\n"))
    rest = size - len(before) - 2 * len(half) - len("\r\n")
    return [
        before + "a: ",
        {"repeat": "x", "times": rest // 2},
        "\r\na: ",
        {"repeat": "x", "times": rest - rest // 2},
        "\r\n\r\n",
    ]
