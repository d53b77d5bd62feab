"""Tools for testing applications: a network that breaks."""

from __future__ import annotations

from .network import CutKind, FaultyNetwork

__all__ = ["CutKind", "FaultyNetwork"]
