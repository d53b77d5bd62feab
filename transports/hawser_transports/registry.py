"""Which transport serves which URL scheme.

Transports are found through the entry-point group ``hawser.transports``: the name of an entry point is the
scheme, its value a class (or any callable) that makes a `Transport` without arguments.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final
from urllib.parse import urlsplit

from .contract import Transport
from .urls import without_secrets

ENTRY_POINT_GROUP: Final = "hawser.transports"
"""The entry-point group in which packages register transports."""


class UnknownSchemeError(ValueError):
    """No installed package serves this URL scheme; the message names the fix."""


def find_transport(url: str) -> Transport:
    """Make the transport that serves a URL's scheme.

    Args:
        url: For example ``memory://lobby``. Only its scheme is read.

    Raises:
        UnknownSchemeError: No transport is registered for the scheme.
        TypeError: The registered object does not make a `Transport`.
    """
    scheme = urlsplit(url).scheme
    try:
        entry = _entry(scheme)
    except LookupError:
        known = ", ".join(transport_schemes()) or "none"
        shown = without_secrets(url)
        what = f"the URL scheme {scheme!r} has no transport" if scheme else f"{shown!r} has no URL scheme"
        raise UnknownSchemeError(
            f"{what} (known: {known}); use a known scheme, or install a package that registers one "
            f"in the entry-point group {ENTRY_POINT_GROUP!r}"
        ) from None
    transport: object = entry.load()()
    if not isinstance(transport, Transport):
        raise TypeError(f"entry point {entry.name!r} = {entry.value!r} made {transport!r}, which is no Transport")
    return transport


def transport_schemes() -> list[str]:
    """The URL schemes that can be served, sorted."""
    return sorted(_entries())


@cache  # A scan reads the metadata of everything installed. What is not found is looked for again: it raises.
def _entry(scheme: str) -> EntryPoint:
    return _entries()[scheme]


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
