"""Finding a transport by the scheme of a URL."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from hawser_transports import MemoryTransport, UnknownSchemeError, find_transport, registry, transport_schemes


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


def test_third_parties_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints(
        [
            EntryPoint("pigeon", "hawser_transports.memory:MemoryTransport", "hawser.transports"),
            EntryPoint("wrong", "builtins:object", "hawser.transports"),
        ]
    )
    installed = [found]

    def entry_points(*, group: str) -> EntryPoints:
        return installed[-1].select(group=group)

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert isinstance(find_transport("pigeon://roof"), MemoryTransport)
    with pytest.raises(TypeError, match=r"'wrong' = 'builtins:object' made .* which is no Transport"):
        find_transport("wrong://here")
    installed.append(EntryPoints())
    with pytest.raises(UnknownSchemeError, match="known: none"):
        find_transport("memory://pier")
