"""The broker of applications that are given none; see `tests.runtime.over_brokers`."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import pytest

import hawser.app
from hawser.brokers import MemoryBroker
from tests.runtime.inline_store import inline_store, this_century
from tests.runtime.over_brokers import BROKERS
from tests.runtime.test_late_brokers import LateBroker

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(params=BROKERS)
def each_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[str]:
    """Let every `App` that is given no broker have one of this kind.

    How long they take is drawn like all lots of a test, by its name and the seed (`tests/conftest.py`).
    """
    kind: str = request.param
    with inline_store(tmp_path, secrets.randbits(32)) as store:  # nobody notices but who opens it
        make = {
            "memory": partial(MemoryBroker, clock=this_century),
            "sqlite": store.open_another,
            "late": lambda: LateBroker(secrets.randbits(32), clock=this_century),
        }[kind]
        monkeypatch.setattr(hawser.app, "MemoryBroker", make)
        yield kind
