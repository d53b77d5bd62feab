"""What a client asks for, and the answers that it believes and does not."""

from collections.abc import Iterator
from typing import Any, Final

from .notation import SUBPROTOCOL, Handshake, Text

URL: Final = "ws://example.org:8000/chat"
FIRST: Final = "HTTP/1.1 101 Switching Protocols"
LINES: Final = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
ACCEPTED: Final = {"accept": "key"}
"""Stands for the answer to the key that the client has drawn (RFC 6455 section 4.2.2)."""


def answer(*lines: str, first: str = FIRST, proof: Text | None = None, behind: str = "") -> Text:
    """Write an answer; without lines given those of a right one."""
    proof = ["Sec-WebSocket-Accept: ", ACCEPTED, "\r\n"] if proof is None else proof
    before = "\r\n".join((first, *(lines or LINES))) + "\r\n"
    return [before, *([proof] if isinstance(proof, str) else proof), f"{behind}\r\n"]


def asked(target: str = "/chat", host: str = "example.org:8000") -> dict[str, Any]:
    """Say what the request of a client has."""
    return {
        "target": target,
        "headers": {
            "host": host,
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-protocol": SUBPROTOCOL,
        },
    }


def case(description: str, response: Text, *spec: str, refused: str = "") -> Handshake:
    """Make a case with the usual request."""
    given: dict[str, Any] = {"url": URL, "credentials": {"token": "t0p"}, "request": asked(), "response": response}
    return Handshake(description, spec, "client", given, {}, refused)


def cases() -> Iterator[Handshake]:
    """Yield them all."""
    for url, target, host in (
        (URL, "/chat", "example.org:8000"),
        ("ws://example.org", "/", "example.org"),
        ("ws://example.org:80/a%20b", "/a%20b", "example.org"),
        ("ws://[2001:db8::1]:8000/", "/", "[2001:db8::1]:8000"),
        ("ws://example.org/chat?room=quay&x=", "/chat?room=quay&x=", "example.org"),
    ):
        given: dict[str, Any] = {"url": url, "credentials": {"token": "t0p"}, "request": asked(target, host)}
        given["response"] = answer()
        yield Handshake(f"the request for {url} is what it says and no more", ("CAR-9", "CAR-3"), "client", given, {})
    for url in ("ws://anna:s3cret@example.org/", "ws://anna@example.org/"):
        yield Handshake(f"no request is made for {url}", ("CAR-9",), "client", {"url": url}, {}, "CAR-9")
    odd = answer("upgrade:WebSocket", "CONNECTION: keep-alive, upgrade ", f"Sec-Websocket-Protocol:\t{SUBPROTOCOL}")
    yield case("an answer in other letters", odd, "CAR-3")
    yield case("an answer with more headers", answer(behind="Server: x\r\nDate: now\r\n"), "CAR-3")
    wrong: tuple[tuple[str, Text], ...] = (
        ("200", answer(first="HTTP/1.1 200 OK")),
        ("301", answer(first="HTTP/1.1 301 Moved Permanently", behind="Location: ws://other.example/\r\n")),
        ("404", answer(first="HTTP/1.1 404 Not Found")),
        ("another version of HTTP", answer(first="HTTP/1.0 101 Switching Protocols")),
        ("no HTTP", ["SSH-2.0-OpenSSH\r\n"]),
        ("no Upgrade", answer(*LINES[1:])),
        ("Upgrade to something else", answer("Upgrade: h2c", *LINES[1:])),
        ("no Connection", answer(LINES[0], LINES[2])),
        ("no proof of the key", answer(proof="")),
        ("the proof of another key", answer(proof="Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")),
        ("no subprotocol", answer(*LINES[:2])),
        ("another subprotocol", answer(*LINES[:2], "Sec-WebSocket-Protocol: hawser.v2")),
        ("two subprotocols", answer(*LINES[:2], f"Sec-WebSocket-Protocol: {SUBPROTOCOL}, other.v1")),
        ("compression", answer(behind="Sec-WebSocket-Extensions: permessage-deflate\r\n")),
    )
    for what, response in wrong:
        yield case(f"refused: {what}", response, "CAR-3", refused="CAR-3")
