"""Finding a transport by the scheme of a URL."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING

import pytest

from hawser_transports import MemoryTransport, UnknownSchemeError, find_transport, registry, transport_schemes

if TYPE_CHECKING:
    from collections.abc import Generator

PIGEON = EntryPoint("pigeon", "hawser_transports.memory:MemoryTransport", "hawser.transports")
WRONG = EntryPoint("wrong", "builtins:object", "hawser.transports")


@pytest.fixture(autouse=True)
def nothing_known() -> Generator[None]:
    """Each test begins as a fresh process does, and leaves nothing of its own to others."""
    known = registry._entry  # pyright: ignore[reportPrivateUsage]
    known.cache_clear()
    yield
    known.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoints]:
    """What each scan finds, in order; the last one goes on for ever."""
    scans: list[EntryPoints] = []

    def entry_points(*, group: str) -> EntryPoints:
        found = scans[0] if len(scans) == 1 else scans.pop(0)
        return found.select(group=group)

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return scans


def test_memory_is_registered_by_the_distribution_itself() -> None:
    assert isinstance(find_transport("memory://pier"), MemoryTransport)
    assert "memory" in transport_schemes()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("pigeon://roof", "the URL scheme 'pigeon' has no transport (known: "),
        ("127.0.0.1", "'127.0.0.1' has no URL scheme (known: "),
        ("", "'' has no URL scheme (known: "),
    ],
)
def test_an_unknown_scheme_names_the_known_ones_and_the_fix(url: str, what: str) -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        find_transport(url)
    assert str(caught.value).startswith(what)
    assert "memory" in str(caught.value)
    assert "entry-point group 'hawser.transports'" in str(caught.value)


def test_third_parties_add_schemes(installed: list[EntryPoints]) -> None:
    installed.append(EntryPoints([PIGEON, WRONG]))
    assert isinstance(find_transport("pigeon://roof"), MemoryTransport)
    assert transport_schemes() == ["pigeon", "wrong"]
    with pytest.raises(TypeError, match=r"'wrong' = 'builtins:object' made .* which is no Transport"):
        find_transport("wrong://here")
    with pytest.raises(UnknownSchemeError, match="known: pigeon, wrong"):
        find_transport("memory://pier")


def test_a_scheme_that_was_found_is_not_looked_for_again(installed: list[EntryPoints]) -> None:
    installed += [EntryPoints([PIGEON]), EntryPoints()]
    first, second = find_transport("pigeon://roof"), find_transport("pigeon://tower")
    assert isinstance(second, MemoryTransport)
    assert first is not second
    with pytest.raises(UnknownSchemeError, match="known: none"):
        find_transport("memory://pier")


def test_a_package_that_is_installed_later_is_found(installed: list[EntryPoints]) -> None:
    installed.append(EntryPoints())
    with pytest.raises(UnknownSchemeError, match="known: none"):
        find_transport("pigeon://roof")
    installed[:] = [EntryPoints([PIGEON])]
    assert isinstance(find_transport("pigeon://roof"), MemoryTransport)
