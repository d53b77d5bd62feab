"""The engine inside asyncio: the same conversation as in ``engine_selectors``, with the loop that most programs have.

A driver is a ``Protocol``: asyncio calls it, it calls the engine, and then it drains. Nothing is awaited between an
input and the drain, so there is nothing to lock.

The drain rule is numbered where it is kept: (1) an input or a command, (2) send what ``data_to_send`` returns,
(3) take events until there are none, (4) ask for the next deadline, and keep it.
"""

import asyncio
import secrets
from collections.abc import Callable
from time import monotonic as clock  # asyncio's own time stands on this clock too

import hawser_engine as hawser

LINES, TEAR_AFTER = 40, 15


class Driver(asyncio.Protocol):
    """One link and its connection."""

    def __init__(self, connection: hawser.Connection, handle: Callable[["Driver", hawser.Event], None]) -> None:
        self.connection, self.handle = connection, handle
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.wanted: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(0)  # resume_writing comes when all is with the network
        self.drain()

    def data_received(self, data: bytes) -> None:
        self.connection.receive_data(data, clock())  # (1)
        self.drain()

    def resume_writing(self) -> None:
        self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.connection.receive_eof(clock())  # (1) the end of the link is an input, whatever its reason
        self.drain()

    def wake(self) -> None:
        now = clock()
        if self.wanted is not None and now - self.wanted > 2.0:
            self.connection.handle_gap(now)  # this machine slept: the peer is not dead for that
        self.connection.handle_timeout(now)  # (1)
        self.drain()

    def drain(self) -> None:
        """Keep the drain rule, in a circle: handling an event may be a command."""
        busy = True
        while busy:
            data = b"".join(self.connection.data_to_send())  # (2) on a byte stream batches just follow each other
            if data and self.transport is not None:
                self.transport.write(data)
            event = self.connection.next_event()  # (3)
            if event is not None:
                self.handle(self, event)
            busy = bool(data) or event is not None
        if self.transport is not None:
            self.connection.written(clock(), left=self.transport.get_write_buffer_size())  # (1) an input too
        if self.timer is not None:
            self.timer.cancel()
        self.wanted = self.connection.next_timeout()  # (4)
        if self.wanted is not None:
            self.timer = asyncio.get_running_loop().call_later(max(0.0, self.wanted - clock()), self.wake)


def serve(driver: Driver, event: hawser.Event) -> None:
    """Be the server's application: say every line back."""
    connection = driver.connection
    assert isinstance(connection, hawser.ServerConnection)
    match event:
        case hawser.AuthenticationRequested():
            connection.accept("the only user", clock())  # a real server looks at event.credentials
        case hawser.MessageReceived(body, number):
            assert connection.session is not None
            connection.session.send(b"echo of " + body, clock())  # BacklogFull once a thousand wait; forty never do
            connection.session.delivered(number, clock())  # the event alone acknowledges nothing
        case hawser.SessionResumed(_, replayed):
            print(f"-- ServerConnection: resumed, {replayed} sent again --")
        case hawser.ConnectionTerminated() if driver.transport is not None:
            driver.transport.close()  # what is left is written first
        case _:  # SessionOpened and the like: nothing to do here
            pass


async def talk(host: str, port: int) -> None:
    """Be the client: say forty lines, tear the link once, come back, leave when all is heard."""
    client = hawser.Client(hawser.EngineConfig(), clock())
    lost, heard = asyncio.Event(), 0

    def handle(driver: Driver, event: hawser.Event) -> None:
        nonlocal heard
        match event:
            case hawser.MessageReceived(body, number):
                heard += 1
                print(body.decode())
                client.session.delivered(number, clock())
                if heard == TEAR_AFTER and driver.transport is not None and client.session.attempt == 0:
                    print("-- the link is torn --")
                    driver.transport.abort()  # what is under way is gone
                if heard == LINES:
                    client.close(clock())
            case hawser.SessionResumed(_, replayed):
                print(f"-- ClientConnection: resumed, {replayed} sent again --")
            case hawser.ConnectionTerminated():
                lost.set()
                if driver.transport is not None:
                    driver.transport.close()
            case _:
                pass

    loop = asyncio.get_running_loop()
    said = 0
    while heard < LINES:
        lost.clear()
        _, driver = await loop.create_connection(lambda: Driver(client.connect(clock()), handle), host, port)
        while not lost.is_set():
            if said < LINES and client.session.has_room(100):
                said += 1
                client.session.send(b"line %d" % said, clock())  # (1) a command, and then the drain
                driver.drain()
            await asyncio.sleep(0 if said < LINES else 0.01)


async def main() -> None:
    server = hawser.Server(hawser.EngineConfig(), random_bytes=secrets.token_bytes)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Driver(server.connect(clock()), serve), "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    # A server that lives longer also keeps server.next_timeout(), server.handle_gap() and server.dirty().
    await talk(host, port)
    listener.close()
    await listener.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
