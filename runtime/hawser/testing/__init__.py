"""Tools for testing applications: a network that breaks, and runs that happen again."""

from __future__ import annotations

from .network import CutKind, FaultyNetwork
from .seeds import run_seeded, seeded_bytes, seeded_scheduling

__all__ = ["CutKind", "FaultyNetwork", "run_seeded", "seeded_bytes", "seeded_scheduling"]
