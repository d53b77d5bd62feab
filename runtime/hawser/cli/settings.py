"""The configuration of ``hawser serve``: flags over one TOML file over defaults, wholly checked before anything starts.

What is wrong is refused with the path of the field: ``limits.window_messages is 0; it must be from 1 to …``::

    listen = "wss://0.0.0.0:443/chat"  # or a list of them
    app = "chat:app"
    origins = ["https://example.org"]  # the pages that may connect

    [tls]
    certificate = "chain.pem"
    key = "key.pem"

    [limits]                           # any field of hawser.Config
    resume_period_seconds = 300

    [listener]                         # any field of hawser_transports.ListenerSettings
    connections_per_address = 1_000
    proxies = ["10.0.0.0/8"]          # whose X-Forwarded-For is believed

    [frames]                           # any field of hawser_engine.bindings.websocket.FrameLimits
    fragments = 16

    [polls]                            # any field of hawser_transports.PollSettings
    patience_seconds = 60

    [store]
    file = "chat.db"
    synchronous = "full"
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.v import transform_error

from hawser import Config
from hawser_engine.bindings.websocket import FrameLimits
from hawser_transports import ListenerSettings, PollSettings

from . import WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DEVELOPMENT: Final[dict[str, dict[str, float]]] = {
    "limits": {
        "messages_per_second": 1e9,
        "messages_burst": 2**31,
        "controls_per_second": 1e9,
        "controls_burst": 2**31,
        "resumes_per_minute": 2**31,
        "connections_per_user": 2**31,
        "joins_per_second": 1e9,
        "joins_burst": 2**31,
        "attaches_per_second": inf,
    },
    "listener": {"connections_per_address": inf, "accepts_per_second": inf},
}
"""What holds for the development app where the file says nothing else: nobody is slowed down on one's own machine."""


IN_MEMORY: Final = frozenset({"keys_max", "memory_bytes"})
"""What under ``[store]`` holds without a file."""


@attrs.frozen
class Tls:
    """What ``wss`` and ``https`` need; both files are PEM."""

    certificate: str
    """The server's certificate, and those that lead to a root."""
    key: str
    """Its private key."""


def _word(*words: str) -> Callable[[object, attrs.Attribute[Any], str], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} is {value!r}; it must be {' or '.join(map(repr, words))}")

    return check


@attrs.frozen
class Store:
    """The file that keeps channels and letters over a restart of the server, and bounds, also of what is in memory."""

    file: str | None = None
    """Where it is; it is made if there is none. None: channels and letters end with the server."""
    synchronous: str = attrs.field(default="normal", validator=_word("normal", "full"))
    """`normal`: what is acknowledged survives `kill -9`; a power cut may take the last of it. `full`: it survives
    that, too, and each commit waits for the disk."""
    channels_max: int = attrs.field(default=100_000, validator=attrs.validators.ge(1))
    """Channels kept at once; beyond, the one unused for longest that nobody has joined makes room."""
    keys_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    """Idempotency keys kept at once, in memory or in the file; beyond, the oldest of whoever has the most is forgotten
    before its 300 s, and the log says so. None: 150,000, which is 500 a second, or what the app gives its broker."""
    mailboxes_max: int = attrs.field(default=100_000, validator=attrs.validators.ge(1))
    """Mailboxes kept at once; beyond, the one unused for longest that is empty and that nobody holds makes room."""
    file_bytes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(65_536)))
    """How large the file may become; beyond, publications and letters are refused. None: as the disk has room."""
    memory_bytes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    """Without a file: how much history all channels together keep in memory; beyond, the oldest of the channel used
    longest ago goes before its time, and the log says so. And how much letters take in all; beyond, they are refused.
    None: 536,870,912, or what the app gives its broker."""


@attrs.frozen
class Settings:
    """What to serve, where, and within which limits."""

    listen: tuple[str, ...] = ("http://127.0.0.1:8000",)
    """The URL to listen on, or a list of them."""
    app: str | None = None
    """The app, as ``module:name``; None is the development app."""
    origins: tuple[str, ...] = ()
    """The origins whose pages may connect; programs that are no browsers may always."""
    tls: Tls | None = None
    """The certificate, for ``wss`` and ``https``."""
    limits: Config = attrs.field(factory=Config)
    """Limits and times of sessions."""
    listener: ListenerSettings = attrs.field(factory=ListenerSettings)
    """Limits and times of connections."""
    frames: FrameLimits = attrs.field(factory=FrameLimits)
    """Limits of what one WebSocket brings."""
    polls: PollSettings = attrs.field(factory=PollSettings)
    """Limits and times of long-poll links."""
    store: Store = attrs.field(factory=Store)
    """The file that keeps channels and letters."""


def read_settings(
    path: Path | None, *, listen: Sequence[str] | None = None, app: str | None = None, store: str | None = None
) -> Settings:
    """Put together what holds.

    Args:
        path: The TOML file, with the fields of `Settings`; None: defaults.
        listen: Stands above the file's, if there is any.
        app: Stands above the file's.
        store: Stands above the file of the file's ``[store]``.

    Raises:
        CommandFailed: The file cannot be read, is no TOML, or has a field that is wrong.
    """
    content = {} if path is None else _read(path)
    if listen:
        content["listen"] = list(listen)
    elif isinstance(content.get("listen"), str):
        content["listen"] = [content["listen"]]
    if app is not None:
        content["app"] = app
    if store is not None:
        given = content.get("store", {})
        content["store"] = {**cast("dict[str, Any]", given), "file": store} if isinstance(given, dict) else given
    if content.get("app") is None:
        for name, values in DEVELOPMENT.items():
            given = content.get(name, {})
            if isinstance(given, dict):
                content[name] = values | cast("dict[str, Any]", given)
    try:
        settings = _converter().structure(content, Settings)
    except ClassValidationError as error:
        found: list[str] = transform_error(error, "", _explain)
        what = "; ".join(_in_words(*line.rsplit(" @ ", 1)) for line in found)
        raise CommandFailed(f"{path}: {what}", WRONG_USAGE) from None
    named = {*content.get("store", IN_MEMORY)}
    if settings.store.file is None and not (named and named <= IN_MEMORY):
        what = f"store.file is missing, and without it only {' and '.join(sorted(IN_MEMORY))} hold"
        raise CommandFailed(f"{path}: {what}; name one under [store], or give --store FILE", WRONG_USAGE)
    if settings.store.file is not None and settings.store.memory_bytes is not None:
        what = "store.memory_bytes holds only without a file"
        raise CommandFailed(f"{path}: {what}; store.file_bytes bounds how large that becomes", WRONG_USAGE)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror or error}", WRONG_USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} is no TOML: {error}", WRONG_USAGE) from None


def _converter() -> cattrs.Converter:
    """A converter that converts nothing: cattrs alone would take the text ``"7"`` for a number."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, name in ((int, "a whole number"), (float, "a number"), (str, "a text")):
        converter.register_structure_hook(kind, _only(kind, name))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
    return converter


def _only(kind: type, name: str) -> Callable[[Any, Any], Any]:
    def take(value: Any, _: Any) -> Any:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise TypeError(f"is {value!r}; it must be {name}")

    return take


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        items = cast("list[object]", value)
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return tuple(texts)
    raise TypeError(f"is {value!r}; it must be a list of texts")


def _explain(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if not isinstance(error, ForbiddenExtraKeysError):
        # attrs' own validators say: 'connections' must be >= 1: 0
        return re.sub(r"^'(\w+)' must be (.*): (.*)$", r"\1 is \3; it must be \2", str(error))
    known = [field.name for field in attrs.fields(error.cl)]
    wrong = sorted(error.extra_fields)[0]
    close = get_close_matches(wrong, known, 1)
    return f"{wrong} is no field; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")


def _in_words(what: str, path: str) -> str:
    """A finding with its field: values are refused by the field, other things by what holds the field."""
    field = path.removeprefix(".")
    if what.startswith("is "):
        return f"{field} {what}"
    return f"{field}.{what}" if field else what
