"""``hawser serve``: a server of an application, or of the development app, until a signal drains it."""

from __future__ import annotations

import logging
import shutil
import signal
import ssl
import sys
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import trio

from hawser import EVERYONE, App, serve
from hawser_transports import WebSocketTransport

from . import DONE, INTERRUPTED, WRONG_USAGE, CommandFailed
from .arguments import EXAMPLE_URL
from .loading import load_app
from .standard import say
from .storing import keep_in_store, what_is_kept

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hawser import Server, Session
    from hawser_transports import Transport

    from .settings import Settings

DEVELOPMENT_HISTORY: Final = 10_000


def development_app() -> App:
    """Channels with history, presence and what is volatile, agents and mailboxes, open to everybody, and ``echo``."""
    app = App()
    app.channel("*", history=DEVELOPMENT_HISTORY, presence=True, volatile=True, ask=EVERYONE, open=True)
    app.agent("*", open=True)
    app.mailbox("*", hold=EVERYONE, open=True)  # everybody is anonymous, and may be ada
    app.user("*", open=True)
    app.directory()

    @app.procedure("echo")
    async def echo(_session: Session, *arguments: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        await trio.lowlevel.checkpoint()
        return arguments[0] if len(arguments) == 1 else list(arguments)

    return app


def run_serve(settings: Settings) -> int:
    """Serve until a signal.

    Raises:
        CommandFailed: The app cannot be loaded, or the place to listen cannot be had.
        BrokerUnavailable: The store cannot be used.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not settings.listen:
        raise CommandFailed(f"listen names no URL; one looks like {EXAMPLE_URL}", WRONG_USAGE)
    for url in settings.listen:
        check_url(url)
    far = [url for url in settings.listen if not is_loopback(url)]
    if settings.app is not None:
        app = load_app(settings.app)
    elif not far:
        app = development_app()
    else:
        raise CommandFailed(
            f"without --app everybody may do everything, so it listens on loopback only: name your app with "
            f"--app module:name, or listen on http://127.0.0.1:8000 instead of {far[0]}",
            WRONG_USAGE,
        )
    keep_in_store(app, settings.store)
    return trio.run(_serve, app, settings, find_listening_transport(settings))


async def _serve(app: App, settings: Settings, transport: Transport | None) -> int:
    received: list[int] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as running:
                server = await _listen(running, app, settings, transport)
                print(*(f"listening on {url}" for url in server.urls), sep="\n", flush=True)
                for line in what_is_kept(app):
                    say(line)
                if settings.app is None:
                    say(what_to_try(server.url))
                watching.start_soon(_obey, signals, server, running.cancel_scope, received)
            watching.cancel_scope.cancel(reason="the server has ended")
    return INTERRUPTED if signal.SIGINT in received[:1] else DONE


async def _listen(running: trio.Nursery, app: App, settings: Settings, transport: Transport | None) -> Server:
    places = " and ".join(settings.listen)
    serving = partial(serve, app, *settings.listen, config=settings.limits, transport=transport)
    try:
        server: Server = await running.start(serving)
    except ValueError as error:
        raise CommandFailed(f"cannot listen on {places}: {error}", WRONG_USAGE) from None
    except OSError as error:
        why = error.strerror or error
        raise CommandFailed(f"cannot listen on {places}: {why}. Port 0 takes one that is free") from None
    return server


async def _obey(signals: AsyncIterator[int], server: Server, scope: trio.CancelScope, received: list[int]) -> None:
    """Drain at the first signal, end at the second."""
    received.append(await anext(signals))
    say(f"draining, with {server.sessions} session{'s' * (server.sessions != 1)}; another signal ends it at once")
    await server.drain()
    received.append(await anext(signals))
    scope.cancel(reason="a second signal")


def find_listening_transport(settings: Settings) -> Transport | None:
    """The transport of URLs that are reached over the network, with what is configured for it; None for others.

    Raises:
        CommandFailed: The certificate is missing, or cannot be used.
    """
    if not any(urlsplit(url).scheme in ("http", "https", "ws", "wss") for url in settings.listen):
        return None
    context = None
    secure = [url for url in settings.listen if urlsplit(url).scheme in ("https", "wss")]
    if secure:
        if settings.tls is None:
            fix = "name one in the --config file, as certificate and key under [tls]"
            raise CommandFailed(f"{secure[0]} needs a certificate: {fix}", WRONG_USAGE)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(settings.tls.certificate, settings.tls.key)
        except OSError as error:  # what OpenSSL says is an OSError too
            why = error.strerror or error
            raise CommandFailed(
                f"[tls]: cannot use {settings.tls.certificate} with {settings.tls.key}: {why}", WRONG_USAGE
            ) from None
    return WebSocketTransport(
        ssl_context=context,
        origins=settings.origins,
        settings=settings.listener,
        frames=settings.frames,
        polls=settings.polls,
    )


def check_url(url: str) -> None:
    """Refuse what cannot be taken apart as a URL; what its parts are worth is for its transport to say.

    Raises:
        CommandFailed: It is none.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if not scheme or "://" not in url:
        raise CommandFailed(f"cannot listen on {url!r}: that is no URL; one looks like {EXAMPLE_URL}", WRONG_USAGE)


def is_loopback(url: str) -> bool:
    """Whether only programs on this machine reach a URL."""
    parts = urlsplit(url)
    if parts.scheme == "memory" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def what_to_try(url: str) -> str:
    """Three commands for whoever has just started the development app."""
    hawser = program()
    return (
        "This is the development app: every channel is open. In other terminals, try:\n"
        f"  {hawser} sub {url} room:lobby\n"
        f'  {hawser} pub {url} room:lobby \'{{"text": "hello"}}\'\n'
        f"  {hawser} call {url} echo '[1, 2, 3]'"
    )


def program() -> str:
    """How this program was started, so that what is printed can be copied."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return "python -m hawser"
    found = shutil.which(path.name)
    on_path = found is not None and Path(found).resolve() == path.resolve()
    return path.name if on_path else str(path)
