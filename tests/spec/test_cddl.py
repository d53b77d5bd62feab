"""packets.cddl, the classes of the engine and the vectors say the same.

The CDDL is written for people, with names and comments; the classes declare their items. Here each rule of the one is
rendered from the other and compared, both ways, so neither can change alone. Then a CDDL tool judges every vector.
"""

import itertools
import re
from typing import Any

import cbor2
import cddl_verifier  # type: ignore[import-untyped]
import pytest

from hawser_engine.agents import OfferedProcedure
from hawser_engine.calls import ErrorReply
from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.items import (
    Bool,
    Bytes,
    Item,
    Keyed,
    Kind,
    Layout,
    ListOf,
    MapOf,
    Nullable,
    OpenMap,
    Record,
    Text,
    Uint,
    layout_of,
    required_of,
)
from hawser_engine.messages import (
    MESSAGES,
    About,
    ChannelOutcome,
    ChannelRequest,
    GapNotice,
    Position,
    PositionNotice,
    PublishOptions,
    SendOutcome,
    SubscribeOptions,
    Target,
)
from hawser_engine.packets import PACKETS, Counts, Limits, ServerLimits
from hawser_engine.presence import Member
from tests.spec.vector_files import SPECIFICATION, Vector, vectors

CDDL = (SPECIFICATION / "packets.cddl").read_text(encoding="utf-8")

# How the file calls what the classes declare: kinds of item by their range, so that a changed range finds no name …
NAMES: dict[Item, str] = {
    Uint(): "count",
    Uint(1): "positive",
    Bytes(1, 64): "session-id",
    Bytes(32, 32): "secret",
    Bytes(1, 16): "incarnation",
    Bytes(0, 65_536): "body",
    Bytes(8, 8): "epoch",
    Text(0, 123): "close-reason",
    Text(0, 2048): "url",
    Text(1, 255): "name",
    Bytes(0, 1024): "info",
    Text(1, 127): "name-part",
    Bytes(0, 4096): "description",
    Text(1, 64): "latest-key",
    Text(1, 32): "tag",
    Text(1, 1024): "filter",
    Text(0, 64): "tag-value",
    OpenMap(): "credentials",
    MapOf(Text(1, 32), Text(0, 64), 1, 8): "tags",
}
# … and classes whose rule has another name than their own in lower case.
RULES: dict[type[Layout], str] = {
    Limits: "client-limits",
    ServerLimits: "server-limits",
    PositionNotice: "position-notice",
    GapNotice: "gap-notice",
    ErrorReply: "error-reply",
    ChannelRequest: "channel-request",
    ChannelOutcome: "channel-outcome",
    OfferedProcedure: "offered-procedure",
    PublishOptions: "publish-options",
    SendOutcome: "send-outcome",
    SubscribeOptions: "subscribe-options",
}
# Some have the same range, and the file names them apart; so the one is replaced by the other.
ALIASES = {"key": "session-id", "feature": "tag-value", "member-id": "incarnation", "session-name": "tag"}
FIXED = {
    "credentials": "{ * tstr => any }",
    "tags": "{ 1*8 tag => tag-value }",
    "packet": " / ".join(cls.NAME.lower() for cls in PACKETS.values()),
    "any-message": " / ".join(RULES.get(cls, cls.NAME.lower()) for cls in MESSAGES.values()),
}


def rules_of_file() -> dict[str, str]:
    text = re.sub(r";.*", "", CDDL)
    rules: dict[str, str] = {}
    for block in re.split(r"^(?=[a-z-]+ = )", text, flags=re.MULTILINE):
        if block.strip():
            name, expression = block.split(" = ", 1)
            assert name not in rules
            rules[name] = plain(expression)
    return rules


def plain(expression: str) -> str:
    """Spaces and commas as they come out of rendering."""
    flat = " ".join(expression.split())
    return re.sub(r",? ([\]}])", r" \1", flat).replace("[ ", "[").replace(" ]", "]")


def rule_of(cls: type[Layout]) -> str:
    return RULES.get(cls, cls.NAME.lower())


def rendered(item: Item) -> str:
    match item:
        case _ if item in NAMES:
            return NAMES[item]
        case Bool():
            return "bool"
        case Bytes(minimum=0, maximum=maximum) if maximum == MAX_INTEGER:
            return "bstr"
        case Text(minimum=0, maximum=maximum) if maximum == MAX_INTEGER:
            return "tstr"
        case Nullable():
            return f"{rendered(item.of)} / null"
        case ListOf():
            return f"[{item.minimum}*{item.maximum} {rendered(item.of)}]"
        case Record() | Keyed():
            return rule_of(item.cls)
        case _:
            raise AssertionError(f"packets.cddl has no name for {item}")


def rendered_range(item: Item) -> str:
    match item:
        case Uint():
            return f"{item.minimum}..{item.maximum}"
        case Bytes() | Text():
            size = f"{item.minimum}" if item.minimum == item.maximum else f"({item.minimum}..{item.maximum})"
            return f"{'bstr' if isinstance(item, Bytes) else 'tstr'} .size {size}"
        case _:
            raise AssertionError(item)


def members(cls: type[Layout], form: str, optional: str) -> list[str]:
    """What stands in a rule for each field; a cut (^) keeps the wildcard of a map from taking a key that is known."""
    required = required_of(cls)
    forms = [form if place < required else optional for place in range(len(layout_of(cls)))]
    return [each.format(name, rendered(item)) for each, (name, item) in zip(forms, layout_of(cls), strict=True)]


def rendered_array(cls: type[Layout]) -> str:
    kind = [str(cls.KIND)] if issubclass(cls, Kind) else []
    return f"[{', '.join([*kind, *members(cls, '{}: {}', '? {}: {}')])}]"


def rendered_map(cls: type[Layout]) -> str:
    keys = members(cls, '"{}" => {}', '? "{}" ^ => {}')
    return plain("{ " + ", ".join([*keys, "* tstr => any"]) + " }")


def rules_of_classes() -> dict[str, str]:
    rows = (Counts, Position, ChannelRequest, ChannelOutcome, Member, OfferedProcedure, Target, SendOutcome)
    arrays = (*PACKETS.values(), *MESSAGES.values(), *rows)
    rules = {rule_of(cls): rendered_array(cls) for cls in arrays}
    rules |= {
        rule_of(cls): rendered_map(cls) for cls in (Limits, ServerLimits, SubscribeOptions, PublishOptions, About)
    }
    rules |= {name: rendered_range(item) for item, name in NAMES.items() if name not in FIXED}
    return rules | FIXED


def test_the_file_and_the_classes_have_the_same_rules() -> None:
    written = rules_of_file()
    for alias, name in ALIASES.items():
        assert written.pop(alias) == written[name]
        pattern = rf"(: |\d )(?<!\? ){alias}\b(?!:)"
        written = {rule: re.sub(pattern, rf"\g<1>{name}", expression) for rule, expression in written.items()}
    assert written == rules_of_classes()


def test_every_rule_is_used() -> None:
    rules = rules_of_file()
    used = set(itertools.chain.from_iterable(re.findall(r"[a-z][a-z-]*", expression) for expression in rules.values()))
    assert rules.keys() - used == {"packet", "any-message"}


VALIDATOR: Any = cddl_verifier.Validator(CDDL)


def judged(vector: Vector) -> bool | None:
    """Whether the CDDL allows a vector, unknown items behind left out (PKT-4); None: its kind is unknown."""
    kinds: dict[int, type[Kind]] = {**(PACKETS if vector.layer == "session" else MESSAGES)}
    items: list[Any] = cbor2.loads(vector.data)
    cls = kinds.get(items[0])
    if cls is None:
        return None
    known = cbor2.dumps(items[: 1 + len(layout_of(cls))])
    return bool(VALIDATOR.validate(known, root_type=rule_of(cls)).valid)


OF_ITEMS = {"PKT-8", "PKT-12", "PKT-13"}
"""The clauses that CDDL can express."""
WRONG = [
    vector for layer in ("session", "message") for vector in vectors("invalid", layer) if vector.clause in OF_ITEMS
]


@pytest.mark.parametrize("vector", [*vectors("valid", "session"), *vectors("valid", "message")], ids=str)
def test_a_valid_vector_keeps_the_rule_of_its_kind(vector: Vector) -> None:
    assert judged(vector) is (None if vector.packet is None else True)


@pytest.mark.slow
@pytest.mark.parametrize("vector", WRONG, ids=str)
def test_a_vector_with_a_wrong_item_breaks_the_rule_of_its_kind(vector: Vector) -> None:
    """SPEC PKT-8, PKT-12, PKT-13."""
    assert judged(vector) is False
