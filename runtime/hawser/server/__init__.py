"""The server side: `serve` and what handlers see."""

from __future__ import annotations

from .serve import Server, serve
from .session import Session

__all__ = ["Server", "Session", "serve"]
