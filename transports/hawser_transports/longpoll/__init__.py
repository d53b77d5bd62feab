"""Long-poll links: the engine's binding on requests over any wire (SPEC 14.3).

Reading order: ends (what both links share), route (a server's requests and links), asking (one request of a client),
client. Listening and connecting are in ``hawser_transports.web``.
"""

from .asking import Asking
from .client import PollClientLink
from .route import PollRoute
from .settings import PollSettings

__all__ = ["Asking", "PollClientLink", "PollRoute", "PollSettings"]
