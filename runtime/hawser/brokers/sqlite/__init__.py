"""Channels in a file of SQLite: they outlive the server that serves them."""

from __future__ import annotations

from .broker import SqliteBroker, StoreReport
from .errors import StoreClosed, StoreDamaged, StoreError, StoreForeign, StoreFull, StoreInUse, StoreUnwritable

__all__ = [
    "SqliteBroker",
    "StoreClosed",
    "StoreDamaged",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreInUse",
    "StoreReport",
    "StoreUnwritable",
]
