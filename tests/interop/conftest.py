"""Peers that are not ours: what they need is there, or the skip says so; where CI runs, it is a failure."""

import os
import shutil
from pathlib import Path

import pytest

JAVASCRIPT = Path(__file__).parent / "javascript"


def _needs(thing: str, *, there: bool) -> None:
    if there:
        return
    message = f"{thing} is missing: `make install` brings it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def node() -> str:
    """The Node that runs the JavaScript client, with its packages installed."""
    path = shutil.which("node")
    _needs("node", there=path is not None)
    _needs("tests/interop/javascript/node_modules", there=(JAVASCRIPT / "node_modules/ws").is_dir())
    assert path is not None
    return path
