"""Values as JSON text: what scripts write to a channel, and what they read from it.

Payloads are CBOR; what JSON lacks is written as RFC 8949, section 6.1, advises: bytes as base64url without padding,
numbers that are not finite as null. What CBOR refuses (doubled keys, numbers beyond 2^53) is refused here too, because
a value that silently changes on its way is a loss.
"""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final, cast

from hawser.errors import PayloadError
from hawser.payloads import encode_payload

if TYPE_CHECKING:
    from hawser import Letter, Message

_INTEGER_TEXT_MAX: Final = 20
"""The longest integer that is read at all; the limit of ±2^53 has 16 digits."""

# JSON lets these stand as they are, but terminals obey some of them, and some readers break lines at the others.
_CONTROLS: Final = re.compile("[\x7f-\x9f\u2028\u2029]")


def parse_json(text: str) -> Any:
    """Read one JSON value that a payload can carry.

    Raises:
        ValueError: It is none; the message says why, in a few words.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_short
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_payload(value)
    return value


def check_payload(value: object) -> None:
    """Refuse what no payload can carry.

    Raises:
        ValueError: The message says why.
    """
    try:
        encode_payload(value)
    except PayloadError as error:
        raise ValueError(f"no payload: {error}") from None


def json_text(value: object) -> str:
    """Write a value on one line."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def message_text(message: Message) -> str:
    """Write a message on one line: ``{"channel":…,"epoch":…,"offset":…,"data":…}``.

    What is no payload of Hawser stands as ``"raw"``, in base64url, where ``"data"`` would be. One that is volatile has
    ``"volatile":true`` before it.
    """
    head: dict[str, object] = {"channel": message.channel, "epoch": message.epoch.hex(), "offset": message.offset}
    if message.volatile:
        head["volatile"] = True
    try:
        return json_text({**head, "data": message.data})
    except PayloadError:
        return json_text({**head, "raw": message.raw})


def letter_text(letter: Letter) -> str:
    """Write a letter on one line: ``{"mailbox":…,"id":…,"sender":…,"time":…,"tries":…,"data":…}``.

    What is no payload of Hawser stands as ``"raw"``, as in a message.
    """
    head: dict[str, object] = {
        "mailbox": letter.mailbox,
        "id": letter.id,
        "sender": letter.sender,
        "time": letter.time,
        "tries": letter.tries,
    }
    try:
        return json_text({**head, "data": letter.data})
    except PayloadError:
        return json_text({**head, "raw": letter.raw})


def _plain(value: object) -> object:
    match value:
        case bytes():
            return urlsafe_b64encode(value).rstrip(b"=").decode()
        case float() if not math.isfinite(value):
            return None
        case list():
            return [_plain(item) for item in cast("list[object]", value)]
        case dict():
            return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
        case _:
            return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {json.dumps(twice)} stands twice in an object")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"no payload: the number {_cut(text)} is beyond what 64 bits hold")
    return value


def _short(text: str) -> int:
    if len(text) > _INTEGER_TEXT_MAX:  # Python would not even read one of thousands of digits
        raise ValueError(f"no payload: the integer {_cut(text)} is beyond ±2^53")
    return int(text)


def _cut(text: str) -> str:
    return text if len(text) <= _INTEGER_TEXT_MAX else f"{text[:_INTEGER_TEXT_MAX]}…"


def _refuse_constant(name: str) -> object:
    raise ValueError(f"not JSON: {name} is no number there")
