"""Scenes of a server that runs the open service: the message layer, seen as packets and nothing else."""

from typing import Any

from ..encoding import Json
from .messages import carried, live, publish, published, subscribe, subscribed
from .notation import Packet, ServerScene
from .patterns import some_bytes


class ServiceScene(ServerScene):
    """The server runs the open service that README.md describes; nothing but packets is seen of it.

    Its authenticator and its application act by themselves, so there are neither commands nor events, and of what it
    sends, ACK, PING and POSITION are left out.
    """

    def __init__(self, description: str, *spec: str, level: str = "MUST", **config: Any) -> None:
        super().__init__(description, *spec, level=level, **config)
        self.config = {"service": "open", **config}
        self.incarnation = some_bytes("incarnation")

    def command(self, name: str, on: str | None = None, **arguments: Json) -> None:
        """Leave it to the service."""

    def event(self, name: str, on: str | None = None, **members: Json) -> None:
        """Leave out what only the service sees."""

    def hears(self, link: str, *messages: Packet) -> None:
        """One batch of messages of section 15 arrives."""
        self.receive(link, *carried(*messages))

    def tells(self, link: str, *messages: Packet) -> None:
        """Messages of section 15 leave."""
        self.send(link, *carried(*messages))

    def second(self, link: str, packet: Packet | None = None) -> None:
        """Another session is opened and confirmed."""
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}")

    def joins(self, link: str, channel: str, id: int = 1) -> None:
        """A session subscribes to a channel that is empty."""
        self.hears(link, subscribe(id, channel))
        self.tells(link, subscribed(id, live(channel)))

    def publishes(self, link: str, channel: str, *data: bytes | str, first: int = 1) -> None:
        """Publications arrive and are answered; the first has this id, and this offset."""
        for number, each in enumerate(data, first):
            self.hears(link, publish(number, channel, each))
            self.tells(link, published(number, number))
