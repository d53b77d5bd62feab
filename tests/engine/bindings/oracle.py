"""What a stream of frames means, told by wsproto alone, and where it leaves our limits, told by its heads."""

from collections.abc import Iterator

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection
from wsproto.events import Ping as WsPing
from wsproto.events import Pong as WsPong

from hawser_engine.bindings.websocket.splitter import Closed, Failed, FrameEvent, FrameLimits, Ping, Pong

TEXT = 1_003
TOO_LARGE = 4_109
RATE = 4_103


def of_wsproto(data: bytes, *, client: bool) -> list[FrameEvent]:
    """Everything wsproto makes of a stream, the parts of each message joined."""
    connection = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
    connection.receive_data(data)
    events: list[FrameEvent] = []
    message = b""
    for event in connection.events():
        if isinstance(event, BytesMessage):
            message += event.data
            if event.message_finished:
                events.append(message)
                message = b""
        elif isinstance(event, WsPing):
            events.append(Ping(bytes(event.payload)))
        elif isinstance(event, WsPong):
            events.append(Pong(bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            peer = connection.state is ConnectionState.REMOTE_CLOSING
            events.append((Closed if peer else Failed)(int(event.code), event.reason or ""))
    return events


def heads(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Each whole frame head: where the frame begins, where its length ends, first byte, length, whether masked."""
    at = 0
    while at + 2 <= len(data):
        first, second = data[at], data[at + 1]
        size, length_end = second & 127, at + 2
        if size >= 126:
            length_end += 2 if size == 126 else 8
            if length_end > len(data):
                return
            size = int.from_bytes(data[at + 2 : length_end], "big")
        yield at, length_end, first, size, second >> 7
        at = length_end + 4 * (second >> 7) + size


def expected(data: bytes, limits: FrameLimits, *, client: bool) -> tuple[list[FrameEvent], int | None]:
    """What the splitter must tell: the events, and the code of a refusal of its own behind them."""
    fragments = declared = controls = 0
    for begin, length_end, first, size, masked in heads(data):
        opcode = first & 15
        code = None
        if opcode == 1:
            code = TEXT
        elif opcode >= 8:
            controls += 1
            code = RATE if controls > limits.controls else None
        else:
            fragments += 1
            declared += size
            code = TOO_LARGE if fragments > limits.fragments or declared > limits.message_bytes else None
        if code is not None:
            before = of_wsproto(data[:begin], client=client)
            with_head = of_wsproto(data[:length_end], client=client)
            if with_head and isinstance(with_head[-1], Closed | Failed) and not is_empty_close(data[begin:length_end]):
                return with_head, None
            return before, code
        if opcode < 8 and first >> 7:
            controls = 0 if declared else controls + 1
            fragments = declared = 0
            if controls > limits.controls and (end := length_end + 4 * masked) <= len(data):
                so_far = of_wsproto(data[:end], client=client)
                return so_far, None if isinstance(so_far[-1], Closed | Failed) else RATE
    return of_wsproto(data, client=client), None


def is_empty_close(frame: bytes) -> bool:
    """Whether a frame without mask is a closing frame without payload: whole with its head."""
    return frame == b"\x88\x00"
