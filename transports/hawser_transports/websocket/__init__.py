"""WebSocket links, over any wire; a server shares one framer between them."""

from .link import WebSocketLink

__all__ = ["WebSocketLink"]
