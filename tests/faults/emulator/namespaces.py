"""Two hosts on this machine: network namespaces with a TUN device each, gone when the block ends.

What a killed program has left behind is removed by the next one that starts: names carry the number of the process
that made them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

PREFIX: Final = "hawser"
DEVICE: Final = "/dev/net/tun"
REQUIRED_VARIABLE: Final = "HAWSER_REQUIRE_NETNS"
"""Where this is 1, a machine that cannot do it fails instead of skipping."""

_NAME: Final = re.compile(rf"^{PREFIX}-(\d+)-\d+\b", re.MULTILINE)
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_REQUEST: Final = "16sH22x"
"""struct ifreq, as far as this call has to do with it."""
# What is usual differs, and would give other figures; this one every Linux lets a namespace have.
_CONGESTION_CONTROL: Final = "reno"
_COMMAND_SECONDS: Final = 30.0
_numbers = count()


@attrs.frozen
class Host:
    """A namespace, and the device through which it sees the others."""

    name: str
    tun: int
    """A descriptor of the device: what is read leaves the host, what is written enters it."""

    def command(self, *words: str) -> tuple[str, ...]:
        """The command that runs a program on this host."""
        return (_ip(), "netns", "exec", self.name, *words)


def missing() -> str | None:
    """What this machine lacks, in words; None if it has everything."""
    if sys.platform != "linux":
        return "network namespaces: this is no Linux"
    if os.geteuid() != 0:
        return "network namespaces: they need root"
    if shutil.which("ip", path=_path()) is None:
        return "network namespaces: there is no ip command, which `make install` brings"
    if not os.path.exists(DEVICE):
        return f"network namespaces: there is no {DEVICE}"
    try:
        with host("10.77.0.1"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces: the system refuses them: {error}"


@contextmanager
def host(address: str) -> Generator[Host]:
    """A host with an address of its own, to which the whole world is behind its device."""
    name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
    with ExitStack() as stack:
        _run("netns", "add", name)
        stack.callback(_remove, name)
        tun, device = _open_tun()
        stack.callback(os.close, tun)  # and with it the device is gone
        _run("link", "set", device, "netns", name)
        for words in (
            ("addr", "add", f"{address}/32", "dev", device),
            ("link", "set", "lo", "up"),
            ("link", "set", device, "up"),
            ("route", "add", "default", "dev", device),
        ):
            _run("-n", name, *words)
        made = Host(name, tun)
        settings = "/proc/sys/net/ipv4/tcp_congestion_control"
        _call(made.command("sh", "-c", f"echo {_CONGESTION_CONTROL} >{settings}"))
        yield made


def reap() -> list[str]:
    """Remove what programs have left behind that were killed; return the names."""
    listed = _run("netns", "list")
    left = [match[0] for match in _NAME.finditer(listed) if not _alive(int(match[1]))]
    for name in left:
        _remove(name)
    return left


def _open_tun() -> tuple[int, str]:
    tun = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        wanted = struct.pack(_REQUEST, f"{PREFIX}%d".encode(), _IFF_TUN | _IFF_NO_PI)
        given = fcntl.ioctl(tun, _TUNSETIFF, wanted)
    except BaseException:
        os.close(tun)
        raise
    name: bytes = struct.unpack(_REQUEST, given)[0]
    return tun, name.rstrip(b"\0").decode()


def _remove(name: str) -> None:
    """Remove a namespace; somebody else who reaps may be quicker."""
    subprocess.run((_ip(), "netns", "del", name), check=False, capture_output=True, timeout=_COMMAND_SECONDS)


def _run(*words: str) -> str:
    return _call((_ip(), *words))


def _call(command: Sequence[str]) -> str:
    """Run a command of the system.

    Raises:
        OSError: It failed; the message is the command's own.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _ip() -> str:
    return shutil.which("ip", path=_path()) or "ip"


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
