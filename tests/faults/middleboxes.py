"""Real middleboxes: nginx and haproxy with the files of examples/, and variants of them that are worse.

A variant is the documented file with some of its lines replaced. A line that the file does not have any more is an
error, so what is tested cannot drift away from what is documented.
"""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from tests.faults.journey import Traffic, travel
from tests.faults.networks import FULL, Outcome, check_log, serve_command
from tests.faults.processes import running
from tests.faults.proxy import Direction, Fault, Kind, Plan, Proxy, Route, clear

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Mapping, Sequence

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
FILES: Final = {
    "nginx": EXAMPLES / "behind-nginx/nginx.conf",
    "haproxy": EXAMPLES / "behind-haproxy/haproxy.cfg",
}
SETTINGS: Final = {program: file.parent / "hawser.toml" for program, file in FILES.items()}
"""What the server behind each of them is given."""
IDLING: Final = Traffic(5_000, 28.0, bursts=4)
"""Seven seconds between one burst and the next: longer than the shortest idle timeout."""

_HTTP_PORTS: Final = ("8000", "8001")
"""Where the files expect the server to listen; each has as many of them as it has servers."""
_OWN_PORT: Final = "8080"


@attrs.frozen(kw_only=True)
class Middlebox:
    """Something between clients and a server."""

    title: str
    program: str | None = None
    """Which of `FILES` it runs on; None: there is only the proxy that counts bytes."""
    changes: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What stands in the file, and what stands there instead."""
    plan: Plan = clear
    """What that proxy, which the clients connect to, does beside counting."""
    traffic: Traffic = FULL
    refuses_websocket: bool = False
    """Then only long-poll can pass."""


def swallowing(dice: random.Random) -> Route:
    """The end of a connection takes with it what the server had sent: it is never handed over.

    Some connections live for longer than a whole batch takes: where none does, nothing can arrive (SPEC PKT-5).
    """
    most = dice.choice((3_000, 60_000, 600_000))
    return Route(fault=Fault(dice.choice((Kind.RESET, Kind.TRUNCATE)), dice.randint(300, most), Direction.DOWN))


MIDDLEBOXES: Final = {
    "nginx": Middlebox(title="nginx, as documented", program="nginx"),
    "nginx-unbuffered": Middlebox(
        title="nginx, buffering off",
        program="nginx",
        changes={"proxy_buffering on;": "proxy_buffering off; proxy_request_buffering off;"},
    ),
    "nginx-no-websocket": Middlebox(
        title="nginx, WebSocket refused",
        program="nginx",
        changes={
            "proxy_set_header Upgrade $http_upgrade;": "",
            "proxy_set_header Connection $connection_to_server;": 'proxy_set_header Connection "";',
        },
        refuses_websocket=True,
    ),
    "nginx-idle": Middlebox(
        title="nginx, idle timeout 5 s",
        program="nginx",
        changes={
            "proxy_read_timeout 60s;": "proxy_read_timeout 5s;",
            "proxy_send_timeout 60s;": "proxy_send_timeout 5s; keepalive_timeout 5s;",
        },
        traffic=IDLING,
    ),
    "haproxy": Middlebox(title="haproxy, two listeners, round robin", program="haproxy"),
    "swallowing": Middlebox(title="replies swallowed", plan=swallowing),
}


async def pass_through(
    middlebox: Middlebox, carriage: str, folder: Path, *, program: str | None, seed: int = 0, config: str = ""
) -> Outcome:
    """Carry the traffic of a middlebox through it.

    Args:
        middlebox: Which.
        carriage: What ``--transport`` says.
        folder: For files.
        program: Where nginx or haproxy is installed, for those that are one.
        seed: Of the proxy.
        config: Of the server, behind what is documented for it; with nothing in it, every default.
    """
    async with behind(middlebox, folder, program=program, seed=seed, config=config) as proxy:
        journey = await travel(f"http://127.0.0.1:{proxy.port}/", carriage, middlebox.traffic)
    return Outcome(journey, proxy.bytes_passed)


@asynccontextmanager
async def behind(
    middlebox: Middlebox, folder: Path, *, program: str | None, seed: int = 0, config: str = ""
) -> AsyncGenerator[Proxy]:
    """A server behind a middlebox, behind a proxy that counts; clients connect to the latter."""
    async with standing(middlebox, folder, program=program, config=config) as place, trio.open_nursery() as nursery:
        proxy: Proxy = await nursery.start(Proxy(place.port, plan=middlebox.plan, seed=seed).run)
        yield proxy
        nursery.cancel_scope.cancel()


@attrs.frozen
class Place:
    """Where to connect to."""

    port: int
    """The middlebox's, or the server's where there is none."""
    servers: Sequence[int]
    """The server's own ports."""


@asynccontextmanager
async def standing(
    middlebox: Middlebox,
    folder: Path,
    *,
    program: str | None,
    config: str = "",
    changes: Mapping[str, str] | None = None,
) -> AsyncGenerator[Place]:
    """A server, and the middlebox in front of it if that is a program; the server has nothing to complain about.

    Args:
        middlebox: Which.
        folder: For files.
        program: Where nginx or haproxy is installed, for those that are one.
        config: Of the server, behind what is documented for it.
        changes: What stands in that, and what stands there instead.
    """
    listen = ["http://127.0.0.1:0/"] * len(_HTTP_PORTS)
    async with AsyncExitStack() as stack:
        if middlebox.program is not None:
            config = replaced(SETTINGS[middlebox.program].read_text(encoding="utf-8"), changes or {}) + config
        server = await stack.enter_async_context(running(*serve_command(folder, config, *listen), cwd=folder))
        await server.out.count(len(listen))
        ports = [int(line.rpartition(":")[2].strip("/")) for line in server.out.texts]
        port = ports[0]
        if middlebox.program is not None:
            assert program is not None
            port = await stack.enter_async_context(_in_front(middlebox, program, folder, ports))
        yield Place(port, ports)
    check_log(server.err.texts)


@asynccontextmanager
async def _in_front(middlebox: Middlebox, program: str, folder: Path, servers: Sequence[int]) -> AsyncGenerator[int]:
    """The middlebox in front of these ports, and its own port."""
    assert middlebox.program is not None
    original = FILES[middlebox.program]
    own = _free_port()
    text = adapted(original.read_text(encoding="utf-8"), middlebox.changes, servers, own)
    file = folder / original.name
    file.write_text(text, encoding="utf-8")
    command = {  # one process each, so that nothing outlives it
        "nginx": (program, "-p", str(folder), "-c", str(file), "-e", "stderr", "-g", "daemon off; master_process off;"),
        "haproxy": (program, "-db", "-f", str(file)),
    }[middlebox.program]
    async with running(*command, cwd=folder) as box:
        await _listening(own, box.err.texts)
        yield own
    serious = ("[emerg]", "[alert]", "[ALERT]")
    assert not [line for line in box.err.texts if any(word in line for word in serious)]


def adapted(text: str, changes: Mapping[str, str], servers: Sequence[int], own: int) -> str:
    """A file with ports of this run, and with some of its lines replaced.

    Raises:
        AssertionError: What is to be replaced is not there, or more than once.
    """
    text = replaced(text, changes)
    code = [line.partition("#") for line in text.splitlines()]
    # All at once and in words of their own: a free port may be one of those of the file.
    ports = dict(zip(_HTTP_PORTS, map(str, servers), strict=True)) | {_OWN_PORT: str(own)}
    for place, (line, mark, comment) in enumerate(code):
        for old in ports:
            line = line.replace(f"127.0.0.1:{old}", f"127.0.0.1:<{old}>")
        code[place] = (line, mark, comment)
    text = "\n".join("".join(parts) for parts in code) + "\n"
    for old, new in ports.items():
        text = text.replace(f"<{old}>", new)
    assert f"127.0.0.1:{own}" in text
    return text


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """A file with some of its lines replaced; see `adapted`."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"the file has {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    return text


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _listening(port: int, complaints: Sequence[str]) -> None:
    """Wait until somebody listens there."""
    connect = partial(trio.open_tcp_stream, "127.0.0.1", port)
    with trio.move_on_after(20):
        while True:
            try:
                async with await connect():
                    return
            except OSError:
                await trio.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}: {complaints[-5:]}")
