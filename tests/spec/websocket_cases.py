"""The vectors of the WebSocket carriage, and what came of one, in the form in which a case says what has to."""

from collections.abc import Iterator
from typing import Any

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from hawser_engine.bindings.head import Head
from hawser_engine.codec import decode_batch
from hawser_engine.packets import Close
from tests.spec.vector_files import cases, data_of

CASES = list(cases("websocket"))


def named(member: str, role: str) -> pytest.MarkDecorator:
    """Run a test for each case of one form and role."""
    chosen = [
        pytest.param(case, id=f"{path}: {case['description']}")
        for path, case in CASES
        if case["role"] == role and member in case
    ]
    return pytest.mark.parametrize("case", chosen)


def check_headers(head: Head, headers: dict[str, str]) -> None:
    for name, wanted in headers.items():
        (value,) = head.values(name.encode())
        text = value.decode()
        assert text == wanted or (name in ("upgrade", "connection") and text.lower() == wanted.lower())


def frames_of(data: bytes, role: str) -> Iterator[tuple[Opcode, Any]]:
    """What the other side reads of what is answered."""
    reader = FrameProtocol(client=role == "server", extensions=[])
    reader.receive_bytes(data)
    for each in reader.received_frames():
        yield each.opcode, each.payload


def outcome(batches: list[bytes], sent: bytes, case: dict[str, Any], *, over: bool) -> dict[str, Any]:
    """Say in the form of a case what was handed up and what was sent."""
    seen: dict[str, Any] = {}
    for opcode, payload in frames_of(sent, case["role"]):
        if opcode is Opcode.PONG:
            seen["pong"] = bytes(payload)
        else:
            assert opcode is Opcode.CLOSE
            code = int(payload[0])
            # wsproto reads 1005 where no code was sent; a code that must not be sent it would have refused.
            seen["close"] = "any" if case.get("close") == "any" else code
    if over:
        seen["end"] = "dead"
        if isinstance(case.get("end"), dict):
            (packet,) = decode_batch(batches.pop())
            assert isinstance(packet, Close)
            assert (packet.after_min_ms, packet.after_max_ms, packet.url, packet.attempt) == (0, 0, None, None)
            seen["end"] = {"code": packet.code, "reconnect": packet.reconnect, "resume": packet.resume}
    if "close" in seen:
        seen.pop("pong", None)
    return {**seen, "batches": batches}


def wanted(case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: case[name] for name in ("close", "end") if name in case}
    if "pong" in case:
        found["pong"] = data_of(case["pong"])
    return {**found, "batches": [data_of(each) for each in case["batches"]]}
