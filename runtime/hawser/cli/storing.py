"""``hawser serve --store``: the file that keeps channels and letters, and what is said of it.

Rule: what a store needs of Python and the system is imported with a store only; a server without one does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser.brokers import MemoryBroker

from . import WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from hawser import App

    from .settings import Store

NO_STORE: Final = (
    "no store: channels and letters are in memory, and nothing of them survives a restart; --store FILE keeps them"
)


def keep_in_store(app: App, store: Store) -> None:
    """Let an app keep its channels in a file, if one is named, and so many keys, and so much, as is named.

    Raises:
        CommandFailed: The app has a broker of its own, or what is named is no file.
    """
    both = {"keys_max": store.keys_max, "memory_bytes": store.memory_bytes}
    amounts = {name: amount for name, amount in both.items() if amount is not None}
    if store.file is None and not amounts:
        return
    if not isinstance(app.broker, MemoryBroker):
        named = ", ".join(f"store.{name} = {amount}" for name, amount in amounts.items())
        asked = named if store.file is None else f"--store {store.file}"
        own = type(app.broker).__name__
        raise CommandFailed(f"{asked}: the app keeps its channels in a {own} of its own", WRONG_USAGE)
    if store.keys_max is not None:
        app.broker.keys_max = store.keys_max
    if store.memory_bytes is not None:
        app.broker.bytes_max = store.memory_bytes
    if store.file is None:
        return
    from hawser.brokers.sqlite import SqliteBroker

    try:
        app.broker = SqliteBroker(
            store.file,
            synchronous="full" if store.synchronous == "full" else "normal",
            channels_max=store.channels_max,
            keys_max=app.broker.keys_max,
            mailboxes_max=store.mailboxes_max,
            bytes_max=store.file_bytes,
        )
    except ValueError as error:
        raise CommandFailed(f"--store: {error}", WRONG_USAGE) from None


def what_is_kept(app: App) -> list[str]:
    """What to tell of the store of an app that is served: what is in it, and which loss it survives."""
    broker = app.broker
    if isinstance(broker, MemoryBroker):
        return [NO_STORE]
    from hawser.brokers.sqlite import SqliteBroker

    if not isinstance(broker, SqliteBroker) or broker.report is None:
        return []
    report = broker.report
    lines: list[str] = []
    if report.lost:
        lines.append(
            f"store {report.path} has lost its last commits, to a power cut or to whoever put an older copy in its "
            "place: its channels go on under new epochs, and subscribers are told"
        )
    if broker.synchronous == "full":
        survives = "what is acknowledged survives kill -9, and a power cut"
    else:
        survives = "what is acknowledged survives kill -9; a power cut may take the last of it, and begins new epochs"
    kept = f"{report.channels} channel{'s' * (report.channels != 1)}"
    if report.letters:
        kept += f", {report.letters} letter{'s' * (report.letters != 1)}"
    lines.append(f"store {report.path}: {kept}; {survives} (synchronous = {broker.synchronous})")
    return lines
