"""Bugs that are planted into the runtime, and whether a world notices them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MORE_SEEDS: Final = range(120)
"""Tried as well where a seed notices its planted bug no more: a changed runtime gives each seed another story."""


@attrs.frozen
class Planted:
    """A bug in the place of a function."""

    owner: Any
    name: str
    bug: Callable[..., Any]
    says: str
    """What a world that notices it says of it."""
    seed: int
    """One that does."""

    def check_caught(
        self, monkeypatch: pytest.MonkeyPatch, run_world: Callable[[int], object], more: Iterable[int] = MORE_SEEDS
    ) -> None:
        """Plant it, and run worlds until one notices: that of the recorded seed, then more of them."""
        monkeypatch.setattr(self.owner, self.name, self.bug)
        for seed in (self.seed, *more):
            try:
                run_world(seed)
            except Broken as broken:
                if self.says in str(broken):
                    return
        raise AssertionError("no world noticed")


def each_planted(bugs: Sequence[Planted]) -> pytest.MarkDecorator:
    """Run a test for each of them, by its name."""
    return pytest.mark.parametrize("planted", bugs, ids=[planted.bug.__name__ for planted in bugs])
