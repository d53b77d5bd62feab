"""Tools for testing applications: a network that breaks, runs that happen again, and a session for a handler."""

from __future__ import annotations

from .network import CutKind, FaultyNetwork
from .seeds import run_seeded, seeded_bytes, seeded_scheduling
from .sessions import make_session

__all__ = ["CutKind", "FaultyNetwork", "make_session", "run_seeded", "seeded_bytes", "seeded_scheduling"]
