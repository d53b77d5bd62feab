"""What a peer sends: requests and frames, right ones and spoiled ones."""

import random
from base64 import b64encode

from hypothesis import strategies as st

from hawser_engine.bindings.websocket import MaskedFrames
from hawser_engine.bindings.websocket.frames import mask

KEY = b64encode(bytes(range(16))).decode()
LINES = {
    "Host": "example.org:8000",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "other, hawser.v1",
}
MASK = b"\x11\x22\x33\x44"


def zeros(size: int) -> bytes:
    return bytes(size)


def request(changed: dict[str, str | None] | None = None, *, start: str = "GET / HTTP/1.1", extra: str = "") -> bytes:
    """A good request, with headers changed or left out."""
    lines: dict[str, str | None] = {**LINES, **(changed or {})}
    headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{start}\r\n{headers}{extra}\r\n".encode("latin-1")


GOOD = request() + MaskedFrames(zeros).batch(b"ahoy")


def mutated(rng: random.Random) -> bytes:
    data = bytearray(GOOD)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = data[rng.randrange(len(data)) :][: rng.randint(1, 40)]
    return bytes(data)


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def frame(first: int, payload: bytes = b"", *, client: bool = False, size: int | None = None) -> bytes:
    """A frame as the peer of this end sends it; with a size it announces more than it brings."""
    size = len(payload) if size is None else size
    bit = 0 if client else 0x80
    if size <= 125:
        head = bytes((first, bit | size))
    elif size <= 65_535:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + (payload if client else MASK + mask(payload, MASK))


@st.composite
def streams(draw: st.DrawFn, *, client: bool) -> bytes:
    """Frames that mostly fit together, some near a limit, some wrong; then a few bytes changed, cut or added."""
    firsts = st.sampled_from([0x82] * 6 + [0x02, 0x00, 0x80] * 3 + [0x89, 0x8A] * 2 + [0x88, 0x81, 0x01, 0xC2, 0x83])
    sizes = st.sampled_from([0, 0, 1, 2, 3, 20, 99, 100, 125, 126, 150, 299, 300, 301, 70_000])
    stream = bytearray()
    for _ in range(draw(st.integers(0, 9))):
        first = draw(firsts)
        if first == 0x88:
            payload = draw(st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x10\x04", b"\x03", b"\x03\xee"]))
        elif first & 8:
            payload = b"p" * draw(st.integers(0, 8))
        else:
            payload = b"m" * draw(sizes)
        stream += frame(first, payload, client=client)
        if draw(st.booleans()) and first == 0x02:
            stream += frame(0x80, b"end", client=client)
    for _ in range(draw(st.integers(0, 2)) if stream else 0):
        stream[draw(st.integers(0, min(len(stream) - 1, 400)))] = draw(st.integers(0, 255))
    return bytes(stream[: draw(st.integers(0, len(stream)))] if draw(st.booleans()) else stream)
