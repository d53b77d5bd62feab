"""Every vector: whole, byte by byte, split at every point, with something behind it."""

import ast
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hawser_vectors.__main__ as generator
import jsonschema
import pytest

from hawser_engine import codec, messages
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.items import Kind, Layout, layout_of, required_of
from hawser_engine.packets import PACKETS, Packet
from tests.spec.vector_files import VECTORS, Vector, cases, vectors

VALIDATOR: Any = jsonschema.Draft202012Validator(json.loads((VECTORS / "schema.json").read_text(encoding="utf-8")))
BEHIND = bytes.fromhex("830918ff83010203")
"""A PING with token 255."""


def shown(value: Any) -> Any:
    """Write what the engine decodes as the vectors do."""
    plain: Any = value
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float):
        return {"float": {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in plain]
    if isinstance(value, dict):
        return {key: shown(each) for key, each in plain.items()}
    if isinstance(value, Layout):
        kind = {"kind": value.NAME} if isinstance(value, Kind) else {}
        required = required_of(type(value))
        held = [(name, shown(getattr(value, name))) for name, _ in layout_of(type(value))]
        return kind | {name: each for place, (name, each) in enumerate(held) if place < required or each is not None}
    return plain


def points(vector: Vector) -> Iterator[int]:
    """Every place to split; of long vectors all near the ends and some between, for they are runs of one byte."""
    size = len(vector.data)
    for point in range(1, size):
        if size < 300 or point < 60 or point > size - 60 or point % 997 == 0:
            yield point


def take(pieces: list[bytes]) -> tuple[list[Packet | None], int]:
    """Take packets out of a stream that arrives in pieces; say also in how many bytes the last of them was found."""
    data, position, found = b"", 0, 0
    packets: list[Packet | None] = []
    for piece in pieces:
        data += piece
        while (taken := codec.next_packet(data, position)) is not None:
            packet, position = taken
            packets.append(packet)
            found = len(data)
    return packets, found


def singly(vector: Vector) -> list[bytes]:
    edges = [0, *points(vector), len(vector.data)]
    return [vector.data[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.slow
def test_the_files_are_as_the_generator_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_the_generator_writes_mends_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--to", str(tmp_path)]
    assert generator.main(there) == 0
    (tmp_path / "valid/ping.json").write_text("[]")
    (tmp_path / "invalid/other.json").write_text("[]")
    assert generator.main(["--check", *there]) == 1
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == [
        "valid/ping.json",
        "invalid/other.json",
    ]
    assert generator.main(there) == 0
    assert generator.main(["--check", *there]) == 0


def test_the_generator_shares_nothing_with_the_engine() -> None:
    allowed = {
        "argparse",
        "base64",
        "collections",
        "dataclasses",
        "itertools",
        "json",
        "pathlib",
        "re",
        "struct",
        "sys",
        "typing",
    }
    for path in Path(generator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {name.name for name in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] in allowed


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["valid", "invalid", "scenarios", "websocket", "longpoll"])
def test_every_case_keeps_to_the_schema_and_stands_in_its_folder(folder: str) -> None:
    members = {"valid": "hex", "invalid": "error", "scenarios": "steps", "websocket": "role", "longpoll": "steps"}
    member = members[folder]
    for path, case in cases(folder):
        errors = [error.message for error in VALIDATOR.iter_errors(case)]
        assert errors == [], f"{path}: {case['description']}"
        assert member in case, path
        assert (folder == "valid") == ("packet" in case or "packets" in case), path


def test_there_are_enough() -> None:
    assert sum(1 for folder in ("valid", "invalid") for _ in cases(folder)) >= 260


def test_every_packet_and_message_has_valid_and_invalid_cases() -> None:
    names = {cls.NAME for cls in (*PACKETS.values(), *messages.MESSAGES.values())}
    for folder in ("valid", "invalid"):
        assert names <= {case["description"].split(":")[0] for _, case in cases(folder)}


@pytest.mark.parametrize("vector", vectors("valid", "session"), ids=str)
def test_a_valid_packet(vector: Vector) -> None:
    taken = codec.next_packet(vector.data, 0)
    assert taken is not None
    packet, end = taken
    assert (shown(packet), end) == (vector.packet, len(vector.data))
    if packet is not None:
        assert shown(codec.decode(vector.data)) == vector.packet
        assert shown(codec.decode(codec.encode(packet))) == vector.packet
        if vector.canonical:
            assert codec.encode(packet) == vector.data


@pytest.mark.slow
@pytest.mark.parametrize("vector", vectors("valid", "session"), ids=str)
def test_a_valid_packet_in_pieces_and_with_another_behind(vector: Vector) -> None:
    whole = [vector.packet, {"kind": "PING", "token": 255, "counts": {"received": 1, "delivered": 2, "sent": 3}}]
    for point in points(vector):
        assert codec.next_packet(vector.data[:point], 0) is None
        assert codec.next_packet(vector.data + BEHIND, 0, end=point) is None
        assert shown(take([vector.data[:point], vector.data[point:] + BEHIND])[0]) == whole
    assert shown(take([*singly(vector), BEHIND])[0]) == whole
    assert shown(take([vector.data + BEHIND])[0]) == whole
    assert take([*singly(vector)])[1] == len(vector.data)


@pytest.mark.parametrize("vector", vectors("invalid", "session"), ids=str)
def test_an_invalid_packet(vector: Vector) -> None:
    for behind in (b"", BEHIND, b"\x00" * 100):
        with pytest.raises(RemoteProtocolError) as caught:
            codec.next_packet(vector.data + behind, 0)
        assert caught.value.code == CloseCode.PROTOCOL_ERROR
        assert caught.value.clause == vector.clause


@pytest.mark.slow
@pytest.mark.parametrize("vector", vectors("invalid", "session"), ids=str)
def test_an_invalid_packet_in_pieces(vector: Vector) -> None:
    """Where it is found earlier, it is found for the same reason."""
    for pieces in (singly(vector), *([vector.data[:point], vector.data[point:]] for point in points(vector))):
        with pytest.raises(RemoteProtocolError) as caught:
            take(pieces)
        assert caught.value.clause == vector.clause
    if vector.by is not None:
        with pytest.raises(RemoteProtocolError):
            codec.next_packet(vector.data[: vector.by], 0)


@pytest.mark.parametrize("vector", vectors("valid", "message"), ids=str)
def test_a_valid_message(vector: Vector) -> None:
    message = messages.decode_message(vector.data)
    assert shown(message) == vector.packet
    if message is not None:
        assert shown(messages.decode_message(messages.encode_body(message))) == vector.packet
        if vector.canonical:
            assert messages.encode_body(message) == vector.data
    for point in (0, *points(vector)):
        with pytest.raises(RemoteProtocolError):
            messages.decode_message(vector.data[:point])
    with pytest.raises(RemoteProtocolError, match="PKT-6"):
        messages.decode_message(vector.data + b"\x00")


@pytest.mark.parametrize("vector", vectors("invalid", "message"), ids=str)
def test_an_invalid_message(vector: Vector) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        messages.decode_message(vector.data)
    assert caught.value.code == CloseCode.PROTOCOL_ERROR
    assert caught.value.clause == vector.clause


@pytest.mark.parametrize("vector", vectors("valid", "batch"), ids=str)
def test_a_valid_batch(vector: Vector) -> None:
    assert shown(codec.decode_batch(vector.data)) == vector.packet


@pytest.mark.parametrize("vector", vectors("invalid", "batch"), ids=str)
def test_an_invalid_batch(vector: Vector) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_batch(vector.data)
    assert caught.value.clause == vector.clause


SCENARIO: dict[str, Any] = {
    "description": "a server opens a session and resumes it",
    "spec": ["ATT-3", "ATT-12"],
    "level": "MUST",
    "role": "server",
    "config": {"ping_interval_ms": 25000, "incarnation": "01f4"},
    "steps": [
        {"connect": "a"},
        {"receive": {"on": "a", "hex": "8601", "diagnostic": "[1, ...]"}},
        {"event": {"name": "authenticate", "on": "a", "credentials": {"token": "t0p"}}},
        {"command": {"name": "accept", "on": "a", "principal": "ada"}},
        {
            "send": {
                "on": "a",
                "hex": ["8a020180", {"bytes": "session"}, {"bytes": "secret0"}, "42"],
                "diagnostic": "[2, ...]",
            }
        },
        {"event": {"name": "opened", "on": "a"}},
        {"drop": "a"},
        {"event": {"name": "detached"}},
        {"advance": 120},
        {"event": {"name": "reset", "reason": "EXPIRED", "known_delivered": 0, "unknown": 0, "not_sent": 0}},
    ],
}


def test_the_schema_takes_a_scenario() -> None:
    VALIDATOR.validate(SCENARIO)
    VALIDATOR.validate([SCENARIO])


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"connect": "a", "drop": "a"},
        {"advance": 0},
        {"send": {"on": "a", "hex": [{"bytes": "x", "uint": "y"}], "diagnostic": ""}},
        {"send": {"on": "a", "hex": [{"any": "x", "minimum": 1, "text": "y"}], "diagnostic": ""}},
        {"send": {"on": "a", "hex": [{"inside": [{"bytes": "x", "inside": ""}]}], "diagnostic": ""}},
        {"receive": {"on": "a", "hex": "8"}},
        {"command": {"name": "fly"}},
        {"event": {"name": "opened", "colour": "red"}},
    ],
)
def test_the_schema_refuses_a_wrong_step(step: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**SCENARIO, "steps": [step]})


UPGRADE: dict[str, Any] = {
    "description": "a request",
    "spec": ["CAR-3"],
    "level": "MUST",
    "role": "server",
    "origins": [],
    "request": ["GET ", {"repeat": "x", "times": 2}],
    "response": {"status": 101, "headers": {"upgrade": "websocket"}, "absent": []},
}
DIAL: dict[str, Any] = {
    "description": "an answer",
    "spec": ["CAR-3"],
    "level": "MUST",
    "role": "client",
    "url": "ws://example.org",
    "credentials": {},
    "request": {"target": "/", "headers": {}},
    "response": ["HTTP/1.1 101 x\r\nSec-WebSocket-Accept: ", {"accept": "key"}],
}
STREAM: dict[str, Any] = {
    "description": "frames",
    "spec": ["CAR-3"],
    "level": "MUST",
    "role": "client",
    "hex": "8201aa",
    "frames": "binary",
    "batches": ["aa"],
}


@pytest.mark.parametrize("case", [UPGRADE, DIAL, STREAM], ids=["upgrade", "dial", "stream"])
def test_the_schema_takes_each_form_of_the_websocket_carriage(case: dict[str, Any]) -> None:
    VALIDATOR.validate(case)
    assert not VALIDATOR.is_valid({**case, "colour": "red"})


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (UPGRADE, {"request": "GET /\u20ac"}),
        (UPGRADE, {"request": [{"accept": "lock"}]}),
        (UPGRADE, {"response": {}}),
        (UPGRADE, {"refused": "car"}),
        (DIAL, {"url": 7}),
        (DIAL, {"request": {"target": "/"}}),
        (STREAM, {"end": "dead"}),
        (STREAM, {"end": "alive", "close": 1000}),
        (STREAM, {"close": 999}),
        (STREAM, {"close": 1000, "pong": ""}),
        (STREAM, {"hex": "8"}),
    ],
)
def test_the_schema_refuses_a_wrong_form_of_it(case: dict[str, Any], change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**case, **change})


@pytest.mark.parametrize("member", ["description", "spec", "level", "layer", "hex"])
def test_the_schema_misses_what_is_not_there(member: str) -> None:
    for folder in ("valid", "invalid"):
        case = next(iter(cases(folder)))[1]
        assert not VALIDATOR.is_valid({key: value for key, value in case.items() if key != member})
