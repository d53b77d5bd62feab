"""Opening a conversation."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser.background import Background
from hawser.config import Config
from hawser.errors import ConnectFailed
from hawser.principals import check_handler
from hawser_engine.messages import ASSIGNED, FEATURES
from hawser_transports import find_transport

from .answering import Procedures
from .client import Client
from .credentials import Wallet
from .dialogue import Dialogue
from .line import Line
from .offering import AGENT_SECONDS
from .places import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from hawser.calls import ProcedureHandler
    from hawser_transports import Transport

    from .assigned import AssignedHandler
    from .credentials import FetchCredentials
    from .outbox import Outbox


class Connect:
    """What `connect` returns: enter it with ``async with``."""

    def __init__(
        self,
        url: str,
        places: Places,
        transport: Transport,
        wallet: Wallet,
        config: Config,
        random_bytes: Callable[[int], bytes],
        offer: Procedures,
        outbox: Outbox | None,
        assigned: AssignedHandler | None,
        wait: bool,
    ) -> None:
        self._url = url
        self._places = places
        self._wait = wait
        self._offer = offer
        self._outbox = outbox
        self._assigned = assigned
        self._transport = transport
        self._wallet = wallet
        self._config = config
        self._random_bytes = random_bytes
        self._background = Background()
        self._client: Client | None = None
        self._line: Line | None = None

    async def __aenter__(self) -> Client:
        if self._client is not None:
            raise RuntimeError("a connection is entered only once; call connect again for another one")
        nursery = await self._background.__aenter__()
        try:
            dialogue = Dialogue(self._config, nursery, self._offer, self._random_bytes, self._outbox, self._assigned)
            features = tuple(name for name in FEATURES if name != ASSIGNED or self._assigned is not None)
            self._line = line = dialogue.line = Line(
                dialogue,
                self._places,
                self._transport,
                self._wallet,
                self._config,
                self._random_bytes,
                nursery,
                features,
            )
            self._client = Client(dialogue, self._random_bytes)
            nursery.start_soon(line.run)
            nursery.start_soon(line.timekeeper.run)
            if self._wait:
                await self._arrive(dialogue, line)
            else:
                await trio.lowlevel.checkpoint()
        except BaseException as error:
            if self._line is not None:
                self._line.stop()
            await self._background.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._client

    def probe(self) -> None:
        """Ask the server for life now: a link that is dead is found so within the pong wait."""
        if self._line is not None:
            self._line.probe()

    async def _arrive(self, dialogue: Dialogue, line: Line) -> None:
        """Wait for the first session.

        Raises:
            ConnectFailed: It does not come.
        """
        with trio.move_on_after(self._config.connect_seconds) as patience:
            await dialogue.arrived.wait()
        if patience.cancelled_caught:
            why = f"no session after {self._config.connect_seconds:g} s"
            raise ConnectFailed(self._url, why, line.failures)
        if line.over is not None:
            why = f"refused with code {line.over.code}: {line.over.reason}"
            raise ConnectFailed(self._url, why, code=line.over.code)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._client is not None
        assert self._line is not None
        try:
            await self._client.aclose()
        finally:
            self._line.stop()
            await self._background.__aexit__(kind, error, traceback)


def connect(
    url: str,
    *,
    token: str | None = None,
    credentials: Mapping[str, Any] | FetchCredentials | None = None,
    hosts: Collection[str] = (),
    config: Config | None = None,
    procedures: Mapping[str, ProcedureHandler] | None = None,
    outbox: Outbox | None = None,
    assigned: AssignedHandler | None = None,
    agent: bool = False,
    wait: bool = True,
    transport: Transport | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Connect:
    """Open a conversation with a server.

    ``async with connect(url, token=token) as client:`` is how to use it. Entering waits until there is a session.
    From then on broken links are mended in the background, for as long as the block lasts. Leaving says goodbye.

    Args:
        url: Where the server listens; its scheme chooses the transport, for example ``memory://lobby``.
        token: Short for ``credentials={"token": token}``.
        credentials: What `App.authenticate` gets, at every attach; or an async function that fetches it. The function
            is asked before the first attempt, before any later one for which what it gave has expired or was refused,
            and when the server wants other credentials; never twice at once. While it fails the client waits.
        hosts: Where the server may send this client to, beside its own host: names or addresses without ports.
            Credentials and the session go there. Never from ``https`` or ``wss`` to ``http`` or ``ws``.
        config: Limits and times; the defaults if not given.
        procedures: What the server may call, by name, from the first moment on; see `Client.procedure`.
        outbox: Takes publications whether there is a session or not, and publishes them again, in order and under the
            same keys, if a session is reset; without one a reset ends them in `OutcomeUnknown` or `NotSent`.
        assigned: Takes subscriptions that the server decides, see `Session.subscribe`: an async function that is called
            with each `Subscription`, in a task of its own, and iterates over it. When it returns, the subscription is
            left. Without it the server cannot subscribe this client.
        agent: This client offers procedures to others, see `Client.offer`, or holds the mailbox of an agent. Unless
            ``config`` names ``session_seconds``, its sessions live 10 s without a link: whoever waits for an agent that
            stays away, or for its mailbox, waits so long.
        wait: False starts offline: entering returns at once, and the client tries for as long as the block lasts.
            Whatever it is asked for waits until there is a session. Where the server refuses, all of it ends in
            `SessionClosed`, and ``client.states`` in ``Closed``.
        transport: Used instead of the one that the scheme names.
        random_bytes: Where keys and jitter come from; replace it only in tests.

    Raises:
        ValueError: Token and credentials are both given.
        TypeError: ``assigned`` is no async function, or ``hosts`` is a string.
        UnknownSchemeError: No transport serves the URL's scheme.

    Raises (on entering; without ``wait``, inside the block):
        ConnectFailed: No session within ``config.connect_seconds``, or the server refused. Only with ``wait``.
        ValueError: The URL does not fit the transport.

    Spec: AGT-9.
    """
    if assigned is not None:
        check_handler(assigned, "assigned")
    if token is not None:
        if credentials is not None:
            raise ValueError("give a token or credentials, not both")
        credentials = {"token": token}
    config = Config() if config is None else config
    if agent and config.session_seconds is None:
        config = attrs.evolve(config, session_seconds=AGENT_SECONDS)
    return Connect(
        url,
        Places(url, hosts, config.redirects),
        find_transport(url) if transport is None else transport,
        Wallet(
            credentials or {},
            fetch_seconds=config.credentials_seconds,
            refusals_max=config.credentials_refusals,
        ),
        config,
        random_bytes,
        Procedures(procedures or {}),
        outbox,
        assigned,
        wait,
    )
