"""The engine in a plain ``selectors`` loop: a server and a client in one thread, over TCP, without any framework.

The client says forty lines, the server says each back. In the middle the link is torn, and what was under way is gone.
The session goes on over the next link: every line arrives once and in order. The drain rule is numbered where it is
kept: (1) an input or a command, (2) send what ``data_to_send`` returns, (3) take events until there are none, (4) ask
for the next deadline, and keep it.
"""

import secrets
import selectors
import socket
import struct
import time

import hawser_engine as hawser

LINES, TEAR_AFTER = 40, 15
TEAR = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away whatever is under way


class Link:  # a socket, the connection that speaks over it, and what the network has not taken yet
    def __init__(self, sock: socket.socket, connection: hawser.Connection) -> None:
        sock.setblocking(False)
        self.sock, self.connection = sock, connection
        self.backlog, self.over = b"", False


class Program:
    def __init__(self, now: float) -> None:
        config = hawser.EngineConfig()
        self.server = hawser.Server(config, random_bytes=secrets.token_bytes)
        self.client = hawser.Client(config, now)
        self.gaps = hawser.GapDetector(config.gap_seconds, now, time.time())
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.links: list[Link] = []
        self.said = self.arrived = 0
        self.dial(now)

    def run(self) -> None:
        wanted: float | None = None
        while self.links:
            ready = self.selector.select(None if wanted is None else max(0.0, wanted - time.monotonic()))
            now = time.monotonic()
            gap = self.gaps.check(now, time.time(), wanted)
            for key, what in ready:  # (1) input, before time: else a busy moment looks like a dead peer
                if key.fileobj is self.listener:
                    self.add(self.listener.accept()[0], self.server.connect(now))
                elif what & selectors.EVENT_READ:
                    self.read(key.data, now)
            self.play(now)
            for owner in self.owners():
                if gap is hawser.Gap.LATE_PASS:  # this machine slept: the peers are not dead for that
                    owner.handle_gap(now)
                owner.handle_timeout(now)  # (4) more often than needed does no harm
            for link in list(self.links):  # few, so all; a big server drains what it touched and server.dirty()
                self.drain(link, now)
            wanted = min((due for owner in self.owners() if (due := owner.next_timeout()) is not None), default=None)
        self.listener.close()

    def owners(self) -> list[hawser.Server | hawser.Connection]:  # of deadlines
        return [self.server, *(link.connection for link in self.links)]

    def play(self, now: float) -> None:
        """Be the client's application: say a line, tear the link once, say goodbye at the end."""
        if self.said < LINES and self.client.session.has_room(100):
            self.said += 1
            self.client.session.send(b"line %d" % self.said, now)  # (1) a command
        link = next((link for link in self.links if link.connection is self.client.connection), None)
        if self.arrived == TEAR_AFTER and link is not None and self.client.session.attempt == 0:
            print("-- the link is torn --")
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, TEAR)
            self.close(link, now)
            self.dial(now)  # the first time it sent OPEN, now it is RESUME
        if self.arrived == LINES:
            self.client.close(now)

    def handle(self, connection: hawser.Connection, event: hawser.Event, now: float) -> None:
        """Do what an event asks for: on the server's side say it back, on the client's print it."""
        match event:
            case hawser.AuthenticationRequested() if isinstance(connection, hawser.ServerConnection):
                connection.accept("the only user", now)  # a real server looks at event.credentials
            case hawser.MessageReceived(body, number) if isinstance(connection, hawser.ServerConnection):
                assert connection.session is not None
                connection.session.send(b"echo of " + body, now)  # BacklogFull once a thousand wait; forty never do
                connection.session.delivered(number, now)  # the event alone acknowledges nothing
            case hawser.MessageReceived(body, number):
                self.arrived += 1
                print(body.decode())
                self.client.session.delivered(number, now)
            case hawser.SessionResumed(_, replayed):
                print(f"-- {type(connection).__name__}: resumed, {replayed} sent again --")
            case _:  # SessionOpened and the like: nothing to do here
                pass

    def dial(self, now: float) -> None:
        self.add(socket.create_connection(self.listener.getsockname()), self.client.connect(now))

    def add(self, sock: socket.socket, connection: hawser.Connection) -> None:
        self.links.append(Link(sock, connection))
        self.selector.register(sock, selectors.EVENT_READ, self.links[-1])

    def read(self, link: Link, now: float) -> None:
        try:
            data = link.sock.recv(65_536)
        except ConnectionError:
            data = b""
        if data:
            link.connection.receive_data(data, now)
        else:
            self.close(link, now)

    def drain(self, link: Link, now: float) -> None:
        """Keep the drain rule, in a circle: handling an event may be a command."""
        busy = True
        while busy:
            data = b"".join(link.connection.data_to_send())  # (2) on a byte stream batches just follow each other
            link.backlog += data
            event = link.connection.next_event()  # (3)
            if isinstance(event, hawser.ConnectionTerminated):
                link.over = True  # the last event of a connection: write what is left, then end the link
            elif event is not None:
                self.handle(link.connection, event, now)
            busy = bool(data) or event is not None
        if link not in self.links:
            return
        try:
            while link.backlog:
                link.backlog = link.backlog[link.sock.send(link.backlog) :]
        except BlockingIOError:
            pass  # the selector says when there is room
        except ConnectionError:
            self.close(link, now)  # nobody knows what has arrived; the session finds out
            return
        link.connection.written(now, left=len(link.backlog))  # (1) an input: the wait for a PONG begins here
        self.selector.modify(link.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.backlog else 0), link)
        if link.over and not link.backlog:
            self.close(link, now)

    def close(self, link: Link, now: float) -> None:
        self.links.remove(link)
        self.selector.unregister(link.sock)
        link.sock.close()
        link.connection.receive_eof(now)  # (1) the end of the link is an input too
        self.drain(link, now)


if __name__ == "__main__":
    Program(time.monotonic()).run()
