"""WebSocket links, over any wire; listening and connecting are in ``hawser_transports.web``."""

from .link import WebSocketLink

__all__ = ["WebSocketLink"]
