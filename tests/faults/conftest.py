"""What some tests need of the machine: a skip that says what is missing, or a failure where it is meant to be there."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.faults.emulator.namespaces import REQUIRED_VARIABLE, missing


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Network namespaces and TUN devices; HAWSER_REQUIRE_NETNS=1 makes their lack a failure."""
    lack = missing()
    if lack is not None:
        _tell(f"NOT TESTED on an emulated link: {lack}", failing=os.environ.get(REQUIRED_VARIABLE) == "1")


@pytest.fixture(scope="session")
def nginx() -> str:
    """Where nginx is."""
    return _installed("nginx")


@pytest.fixture(scope="session")
def haproxy() -> str:
    """Where haproxy is."""
    return _installed("haproxy")


def _installed(name: str) -> str:
    path = shutil.which(
        name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    )
    if path is None:
        _tell(
            f"NOT TESTED behind {name}: it is missing, `make install` brings it",
            failing=os.environ.get("CI") == "true",
        )
    assert path is not None
    return path


def _tell(message: str, *, failing: bool) -> None:
    if failing:
        pytest.fail(message)
    pytest.skip(message)
