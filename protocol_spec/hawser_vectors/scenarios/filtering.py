"""Subscriptions that get what passes a filter, and what a filter is (SUB-12, SUB-13, FLT)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import (
    broken,
    go_on,
    live,
    pause,
    position,
    publication,
    publish,
    published,
    subscribe,
    subscribed,
)
from .messages import refused as refusal
from .packets import ack, open_
from .service import ServiceScene

CHANNEL: Final = "told:x"
TAGS: Final[tuple[dict[str, str], ...]] = (
    {"kind": "news", "score": "2.50"},
    {"kind": "sports", "score": "10", "é": ""},
    {"kind": "news", "score": "high"},
    {"score": "-1"},
    {},
)
"""What the publications of these scenes say, in order."""

MEANINGS: Final[dict[tuple[str, str], dict[str, tuple[int, ...]]]] = {
    ("a tag, and words between", "FLT-1"): {
        "kind": (1, 2, 3),
        '"é"': (2,),
        "not kind": (4, 5),
        "kind or score and missing": (1, 2, 3),
        'kind and\t(score == 10 or\n"é")': (2,),
    },
    ("comparisons with texts, and tags that are not there", "FLT-3"): {
        'kind == "news"': (1, 3),
        'kind != "news"': (2, 4, 5),
        'not kind < "o"': (2, 4, 5),
        'kind in ("sports", "\\"\\\\")': (2,),
        'score < "10"': (4,),
    },
    ("comparisons with numbers", "FLT-4"): {
        "score == 2.5": (1,),
        "score != 2.5": (2, 3, 4, 5),
        "score < 10": (1, 4),
        "score >= -1": (1, 2, 4),
        "score in (10, -1.0)": (2, 4),
    },
}
"""Of each scene its filters, and which of the publications pass each."""

NONE: Final = (
    "kind ==",
    "kind = 1",
    "(kind",
    "kind kind",
    'kind == "news',
    "kind == news",
    "kind in ()",
    "and",
    "1 == kind",
    'kind == "\\n"',
    "kind == 1.",
    " ",
)


def _says(offset: int) -> Any:
    return {"publisher": "t0p"} | ({"tags": TAGS[offset - 1]} if TAGS[offset - 1] else {})


def _publish(scene: ServiceScene, get: dict[str, tuple[int, ...]] | None = None) -> None:
    """Publish all of them, and answer each; say which links get which at once."""
    for offset, tags in enumerate(TAGS, 1):
        scene.hears("a", publish(offset, CHANNEL, f"{offset}", about={"tags": tags} if tags else {}))
        scene.tells("a", published(offset, offset))
        for link, passing in ({} if get is None else get).items():
            if offset in passing:
                scene.tells(link, *_gets(offset))


def _gets(*offsets: int) -> list[Any]:
    return [publication(CHANNEL, offset, f"{offset}", about=_says(offset)) for offset in offsets]


def server() -> Iterator[ServiceScene]:
    """SUB-12, SUB-13, FLT: filters."""
    for (what, clause), meanings in MEANINGS.items():
        for when in ("history", "live"):
            s = ServiceScene(f"{what}: {when}", clause, "SUB-12")
            s.starts()
            since, outcome = None, live(CHANNEL)
            if when == "history":
                _publish(s)
                since, outcome = position(0), [CHANNEL, 1, position(0), ""]
            for number, (text, passing) in enumerate(meanings.items()):
                s.second(f"b{number}")
                s.hears(f"b{number}", subscribe(1, CHANNEL, since=since, options={"filter": text}))
                s.tells(f"b{number}", subscribed(1, outcome), *(_gets(*passing) if since else ()))
            if when == "live":
                _publish(s, {f"b{number}": passing for number, passing in enumerate(meanings.values())})
            yield s

    s = ServiceScene(
        "what is no filter is refused, and so is any where there are no tags", "SUB-13", "FLT-1", "FLT-2", "FLT-6"
    )
    s.starts()
    many = " or ".join(["kind", 'kind != "news"', "score in (1, 2, 3)"] * 11)
    wrong = (*NONE, "(" * 9 + "kind" + ")" * 9, "not " * 9 + "kind", many)
    for id, text in enumerate(wrong, 1):
        s.hears("a", subscribe(id, CHANNEL, options={"filter": text}))
        s.tells("a", subscribed(id, refusal(CHANNEL, "BAD_REQUEST")))
    deep = "(" * 8 + "kind" + ")" * 8
    s.hears("a", [1, 100, [["room", None, {"filter": deep}], [CHANNEL, None, {"filter": deep}]]])
    s.tells("a", subscribed(100, refusal("room", "BAD_REQUEST"), live(CHANNEL)))
    yield s

    s = ServiceScene("what looks at tags as often as a filter may is one", "FLT-6", "SUB-12")
    s.starts()
    s.second("b")
    several = f"score in ({', '.join(map(str, range(20, 30)))})"
    most = " or ".join(["none", 'kind == "opera"', several, "score < 0"] * 8)
    s.hears("b", subscribe(1, CHANNEL, options={"filter": most}))
    s.tells("b", subscribed(1, live(CHANNEL)))
    _publish(s, {"b": (4,)})
    yield s

    s = ServiceScene("a filter does not change what is lost", "SUB-12", "SUB-4")
    s.starts()
    _publish(s)
    s.second("b")
    s.hears("b", subscribe(1, CHANNEL, since=position(9), options={"filter": "none"}))
    s.tells("b", subscribed(1, broken(CHANNEL, 0, "EPOCH_CHANGED")))
    yield s

    s = ServiceScene("a rewind counts what is passed over, too", "SUB-12", "SUB-10")
    s.starts()
    _publish(s)
    s.second("b")
    s.hears("b", subscribe(1, CHANNEL, options={"filter": "kind", "rewind": 3}))
    s.tells("b", subscribed(1, live(CHANNEL, 2)), *_gets(3))
    yield s

    s = ServiceScene("one without window is fed what passes, when it has some", "SUB-12", "CHN-6", "WIN-1")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.hears("b", subscribe(1, CHANNEL, options={"filter": 'kind == "news"'}))
    s.tells("b", subscribed(1, live(CHANNEL)))
    _publish(s)
    s.receive("b", ack(1, 1, 1))
    s.tells("b", *_gets(1))
    s.receive("b", ack(2, 2, 1))
    s.tells("b", *_gets(3))
    yield s

    s = ServiceScene("after a pause what passes comes again from where the client stands", "CHN-9", "SUB-12", "CHN-8")
    s.starts()
    s.second("b")
    s.hears("b", subscribe(1, CHANNEL, options={"filter": "kind"}))
    s.tells("b", subscribed(1, live(CHANNEL)))
    s.hears("b", pause(CHANNEL, 0))
    _publish(s)
    s.hears("b", go_on(CHANNEL, 0))
    s.tells("b", *_gets(1, 2, 3))
    yield s
