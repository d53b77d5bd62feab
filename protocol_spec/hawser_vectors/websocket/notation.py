"""What a handshake is and what a stream is, as they are written to a file; README.md beside the vectors explains both.

A head is written as text in which each character is one byte. What a client draws itself, its key, has no place in a
vector: where the answer to it stands, the runner puts it in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeAlias

from ..encoding import Json, compact

SUBPROTOCOL: Final = "hawser.v1"
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455 section 1.3 …"""
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""… and what answers it there."""
MASK: Final = bytes.fromhex("11223344")

BINARY: Final = 2
TEXT: Final = 1
CONTINUATION: Final = 0
CLOSING: Final = 8
PING: Final = 9
PONG: Final = 10

NAMES: Final = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

Text: TypeAlias = str | list[str | dict[str, Any]]
"""One text, or parts of it: texts, runs, and ``{"accept": "key"}``."""


@dataclass(frozen=True)
class Handshake:
    """One upgrade, taken or refused."""

    description: str
    spec: tuple[str, ...]
    role: str
    given: dict[str, Json]
    """What the side under test is set up with, and what reaches it."""
    wanted: dict[str, Json]
    """What it has to say."""
    refused: str = ""
    """The clause by which it ends there; empty if it goes on with frames."""

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        refusal = {"refused": self.refused} if self.refused else {}
        return {
            "description": self.description,
            "spec": list(dict.fromkeys(self.spec)),
            "level": "MUST",
            "role": self.role,
            **self.given,
            **self.wanted,
            **refusal,
        }


@dataclass(frozen=True)
class Frame:
    """One frame of the peer's."""

    opcode: int
    payload: bytes = b""
    final: bool = True
    reserved: int = 0
    """The three reserved bits, as 4, 2 and 1."""
    announced: int | None = None
    """The length that the head tells, where the payload ends earlier."""
    width: int | None = None
    """Bytes of the length behind the second byte, where it is not the shortest form: 2 or 8."""

    def encode(self, role: str) -> bytes:
        """Write it for a receiver of this role: masked for a server, bare for a client."""
        size = len(self.payload) if self.announced is None else self.announced
        masked = 0x80 if role == "server" else 0
        first = (0x80 if self.final else 0) | self.reserved << 4 | self.opcode
        width = self.width
        if width is None:
            width = 0 if size <= 125 else 2 if size <= 0xFFFF else 8
        short = {0: size, 2: 126, 8: 127}[width]
        head = bytes((first, masked | short)) + (size.to_bytes(width, "big") if width else b"")
        if not masked:
            return head + self.payload
        if self.announced is not None and not self.payload:
            return head  # the head is all there is: not even its mask
        key = (MASK * (len(self.payload) // 4 + 1))[: len(self.payload)]
        return head + MASK + bytes(a ^ b for a, b in zip(self.payload, key, strict=True))

    def shown(self) -> str:
        """Write it for people."""
        size = len(self.payload) if self.announced is None else self.announced
        words = [NAMES.get(self.opcode, f"opcode {self.opcode}"), f"{size} bytes"]
        if not self.final:
            words.append("not final")
        if self.reserved:
            words.append(f"reserved bits {self.reserved:03b}")
        if self.width is not None:
            words.append(f"length in {self.width} bytes")
        if self.announced is not None:
            words.append("of which come " + (str(len(self.payload)) if self.payload else "none"))
        return ", ".join(words)


@dataclass(frozen=True)
class Stream:
    """What comes behind the upgrade, and what becomes of it."""

    description: str
    spec: tuple[str, ...]
    role: str
    frames: Sequence[Frame]
    batches: Sequence[bytes] = ()
    """What the session above is handed."""
    pong: bytes | None = None
    """What the last pong repeats."""
    close: int | str | None = None
    """The code of the closing frame that leaves; "any" where the peer closes and any code answers."""
    end: Json = None
    """What the session above is told of the end."""
    say: int | None = None
    """With which code of the session's it closes behind the frames."""
    level: str = "MUST"

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        outcome: dict[str, Json] = {"batches": [compact(each) for each in self.batches]}
        for name in ("pong", "close", "end"):
            value = getattr(self, name)
            if value is not None:
                outcome[name] = compact(value) if isinstance(value, bytes) else value
        return {
            "description": f"{self.role}: {self.description}",
            "spec": list(self.spec),
            "level": self.level,
            "role": self.role,
            "hex": compact(b"".join(each.encode(self.role) for each in self.frames)),
            "frames": "; ".join(_shown(self.frames)),
            **({} if self.say is None else {"say": self.say}),
            **outcome,
        }


def _shown(frames: Sequence[Frame]) -> list[str]:
    runs = [(words, len(list(same))) for words, same in groupby(each.shown() for each in frames)]
    return [words if times == 1 else f"{times} times {words}" for words, times in runs]


def binary(payload: bytes) -> Frame:
    """Make a whole message."""
    return Frame(BINARY, payload)


def refusal(code: int) -> dict[str, Any]:
    """Say that the carriage ends the link by itself, with a close code."""
    return {"close": code, "end": "dead"}
