"""The scenarios: conversations with one side, from the text of SPEC.md sections 3 to 13.

Each is one rule, or two sides of one. The fragments they share are in ``play``.
"""

from collections.abc import Iterator
from typing import Any, Final

from .play import INCARNATION, LIMITS, TOKEN, Chosen, Play, Same, bye, close, name

TINY: Final = {"window_messages": 2, "window_bytes": 1_000, "message_bytes": 1_048_576}
SLEEPER: Final = Same(b"x", 65_536)


def opening() -> Iterator[Play]:
    """SPEC 4 and 5.1, the server."""
    yield Play("a session is opened and proved", "ATT-3", "UNC-1", "ACK-5", "VER-1").attach().advance(0.2)
    play = Play("of several versions the highest that both speak is taken", "VER-1")
    play.connect("a").receive("a", [1, [9, 1, 7], [], TOKEN, None, LIMITS]).event("authenticate", "a")
    play.command("accept", "a", principal="ann")
    answer = [name("session"), name("secret"), INCARNATION, 120_000, 25_000, 10_000]
    limits = LIMITS | {"operations": 256, "operation_bytes": 1_048_576}
    yield play.send("a", [2, 1, [], *answer, limits])
    play = Play("features are the intersection, in force across a resume", "VER-2", features=["b", "c"])
    yield play.attach(offered=["a", "b"], features=["b"]).drop("a").event("detached")
    play = Play("without a common version the authenticator is not asked", "VER-3")
    play.connect("a").receive("a", [1, [2, 3], [], TOKEN, None, LIMITS])
    yield play.send("a", close(303, False, False)).event("closed", "a", code="VERSION")
    for title, packet in (
        ("a message", [6, False, b"x"]),
        ("an ACK", [8, [0, 0, 0]]),
        ("a PONG", [10, 1, None]),
        ("an AUTH", [11, TOKEN]),
        ("a RESET", [5, 3, None]),
    ):
        play = Play(f"{title} before the attach is a protocol error", "ATT-1", "PKT-10")
        yield play.connect("a").receive("a", packet).violated("a", attached=False)
    for title, packet in (("OPENED's sibling RESUMED", [4, 1, [0, 0, 0], bytes(32)]), ("REAUTH", [12, None])):
        play = Play(f"{title} from a client is a protocol error", "PKT-15")
        yield play.connect("a").receive("a", packet).violated("a", attached=False)
    for title, packet in (
        ("a PING", [9, 1, None]),
        ("a message", [6, False, b""]),
        ("a RESET", [5, 3, None]),
        ("a second OPEN", [1, [1], [], TOKEN, None, LIMITS]),
        ("a RESUME", [3, b"s", bytes(32), INCARNATION, 1, [0, 0, 0], TOKEN]),
    ):
        play = Play(f"{title} between OPEN and its answer is a protocol error", "ATT-2", "ATT-17")
        play.connect("a").receive("a", [1, [1], [], TOKEN, None, LIMITS]).event("authenticate", "a")
        yield play.receive("a", packet).violated("a", attached=False)
    for title, packet in (("a message", [6, False, b""]), ("a PING", [9, 1, [0, 0, 0]])):
        play = Play(f"{title} instead of the first ACK is a protocol error", "ATT-3", "PKT-10", "CLS-5")
        yield play.open().receive("a", packet).violated("a")
    play = Play("a link that is not attached in time ends, whatever it sent", "ATT-13")
    play.connect("a").advance(6).receive("a", [9, 1, None]).send("a", [10, 1, None]).advance(3.9)
    play.advance(0.1).send("a", close(101, True, True)).event("closed", "a", code="TIMEOUT")
    yield play
    for verdict, code, number in (("refuse", "UNAUTHORIZED", 302), ("unavailable", "UNAVAILABLE", 105)):
        play = Play(f"OPEN when the authenticator says {verdict}", "ATT-16")
        play.connect("a").receive("a", [1, [1], [], TOKEN, None, LIMITS]).event("authenticate", "a")
        play.command(verdict, "a").send("a", close(number, number != 302, True, when=number == 105))
        yield play.event("closed", "a", code=code)
    play = Play("8,192 bytes without accepted credentials are enough", "PKT-14")
    play.connect("a").receive("a", [200, Same(b"\x00", 8_190)])
    yield play.send("a", close(109, True, True)).event("closed", "a", code="TOO_LARGE")
    play = Play("four probes are answered, a fifth is a protocol error", "LIV-7", "LIV-3", "CNT-9").connect("a")
    for token in (1, 5, 2**53, 0):
        play.receive("a", [9, token, None]).send("a", [10, token, None])
    yield play.receive("a", [9, 9, None]).violated("a", attached=False)
    play = Play("a probe with counts is a protocol error", "CNT-9")
    yield play.connect("a").receive("a", [9, 1, [0, 0, 0]]).violated("a", attached=False)
    play = Play("a PING without counts on a session is a protocol error", "CNT-9", "CLS-5")
    yield play.attach().receive("a", [9, 1, None]).violated("a")


def resuming() -> Iterator[Play]:
    """SPEC 5.1 to 5.3, the server."""
    play = Play("a lost link is resumed, and what was lost is sent again", "ATT-12", "NUM-5", "NUM-2", "CNT-1", "ATT-5")
    play.attach()
    for digits in ("61", "62", "63"):
        play.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
    play.drop("a").event("detached").resume("b", 1, (1, 1, 0))
    yield play.resumed("b", 1, (0, 0, 3), "secret1", [6, False, b"b"], [6, False, b"c"], replayed=2)
    play = Play("a newer attempt fences a link that still seems alive", "ATT-7", "ATT-5").attach().resume("b", 1)
    play.superseded("a", 1).resumed("b", 1, (0, 0, 0), "secret1")
    play.receive("a", [6, False, b"late"], bye(300, False, False))
    yield play.receive("b", [8, [0, 0, 0]], [6, False, b"new"]).event("message", hex="6e6577", number=1)
    play = Play("an attempt that arrives late is told the highest and changes nothing", "ATT-6", "ATT-5").attach()
    play.drop("a").event("detached").resume("b", 4).resumed("b", 4, (0, 0, 0), "secret1")
    for link, attempt in (("c", 3), ("d", 4)):
        play.resume(link, attempt, (9, 9, 9)).superseded(link, 4)
    yield play.receive("b", [8, [0, 0, 0]], [6, False, b"x"]).event("message", hex="78", number=1)
    play = Play("the attempt is checked again after the authenticator", "ATT-5", "ATT-6").attach().connect("b")
    play.present("b", 1).resume("c", 2).superseded("a", 2).resumed("c", 2, (0, 0, 0), "secret1")
    yield play.command("accept", "b", principal="ann").superseded("b", 2)
    unknown = [5, 1, None]
    play = Play("a session that is not there", "ATT-14", "RST-3").attach().resume("b", 1, session=b"nobody")
    yield play.send("b", unknown)
    play = Play("a session of another store", "ATT-14").attach()
    yield play.resume("b", 1, session=b"nobody", incarnation=b"other").send("b", [5, 6, None])
    play = Play("a wrong secret looks like no session", "SEC-6", "ATT-14").attach().resume("b", 1, secret="")
    yield play.send("b", unknown).receive("a", [6, False, b"x"]).event("message", hex="78", number=1)
    play = Play("somebody else looks like no session", "SEC-4", "SEC-6", "ATT-14").attach()
    play.resume("b", 1, principal="bob").send("b", unknown)
    yield play.receive("a", [6, False, b"x"]).event("message", hex="78", number=1)
    play = Play("to an ended session a wrong secret looks like no session too", "SEC-6").attach()
    play.receive("a", bye(300, False, False)).closed("a").event("closed", "a", code="NORMAL").event(
        "reset", reason="CLOSED"
    )
    yield play.resume("b", 1, secret="").send("b", unknown)
    play = Play("refused credentials change nothing of the session", "ATT-16", "SEC-4").attach().connect("b")
    play.present("b", 1).command("refuse", "b").send("b", close(302, False, True))
    play.event("closed", "b", code="UNAUTHORIZED")
    yield play.receive("a", [6, False, b"x"]).event("message", hex="78", number=1)
    play = Play("the confirmed secret lives until the pending one is proved", "SEC-2").attach()
    play.drop("a").event("detached")
    play.resume("b", 1).resumed("b", 1, (0, 0, 0), "secret1").drop("b").event("detached")
    play.resume("c", 2).resumed("c", 2, (0, 0, 0), "secret2").drop("c").event("detached")
    yield play.resume("d", 3, secret="secret1").send("d", unknown)
    play = Play("the first ACK proves a secret, and the one before is dead", "SEC-3").attach()
    play.resume("b", 1).superseded("a", 1).resumed("b", 1, (0, 0, 0), "secret1").prove("b", first=False)
    yield play.resume("c", 2).send("c", unknown)
    play = Play("a RESUME proves a secret too", "SEC-3").attach().drop("a").event("detached")
    play.resume("b", 1).resumed("b", 1, (0, 0, 0), "secret1").drop("b").event("detached")
    play.resume("c", 2, secret="secret1").resumed("c", 2, (0, 0, 0), "secret2").drop("c").event("detached")
    yield play.resume("d", 3).send("d", unknown)
    play = Play("a RESUME confirms a session", "UNC-3", "SEC-3").open().drop("a").event("detached").resume("b", 1)
    yield play.send("b", [4, 1, [0, 0, 0], name("secret1")]).event("opened").event("resumed", replayed=0)
    play = Play("the oldest unconfirmed session goes first, without a tombstone", "UNC-2", unconfirmed_sessions=1)
    play.open(session="x").drop("a").event("detached").open("b", session="y").event("reset", reason="EVICTED")
    play.connect("c").receive("c", [3, name("sessionx"), name("secretx0"), INCARNATION, 1, [0, 0, 0], TOKEN])
    yield play.event("authenticate", "c").command("accept", "c", principal="ann").send("c", unknown)
    for title, counts in (
        ("received below what is trimmed", (0, 0, 0)),
        ("received above what was numbered", (3, 1, 0)),
        ("delivered above received", (1, 2, 0)),
        ("delivered below what was told", (2, 0, 0)),
        ("sent below what was received", (2, 1, 0)),
    ):
        play = Play(f"at an attach, {title}", "ATT-11", "CNT-8").attach()
        for digits in ("61", "62"):
            play.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
        arrives = title.startswith("sent")
        play.receive("a", [8, [1, 1, 0]], *([[6, False, b"x"]] if arrives else []))
        if arrives:
            play.event("message", hex="78", number=1)
        play.drop("a").event("detached").resume("b", 1, counts)
        play.send("b", [5, 3, [int(arrives), int(arrives), 2]])
        yield play.event("reset", reason="DRIFT", known_delivered=1, unknown=1, not_sent=0)
    play = Play("a complete export goes on where the original was", "EXP-3", "ATT-12", level="MUST").attach()
    play.command("send", "a", hex="61").send("a", [6, False, b"a"])
    play.command("restart", export=True, incarnation="0bad").resume("b", 1)
    yield play.resumed("b", 1, (0, 0, 1), "secret1", [6, False, b"a"], replayed=1)
    play = Play("a restart without the sessions is told as such", "ATT-14").attach()
    play.command("restart", export=False, incarnation="0bad").resume("b", 1)
    yield play.send("b", [5, 6, None])


def counting() -> Iterator[Play]:
    """SPEC 6 and 7, the server."""
    play = Play("parts are counted by their order", "CNT-1", "CNT-2", "CNT-3", "LIV-3").attach()
    play.receive("a", [6, False, b"a"], [6, False, b"b"])
    play.event("message", hex="61", number=1).event("message", hex="62", number=2)
    yield play.receive("a", [9, 3, [0, 0, 2]]).send("a", [10, 3, [2, 2, 0]])
    play = Play("only delivery trims and gives window back", "CNT-3", "WIN-1", "NUM-1", "NUM-3")
    play.open(limits=TINY).prove()
    for digits in ("61", "62"):
        play.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
    play.command("send", "a", hex="63").command("send", "a", hex="64")
    play.receive("a", [8, [2, 0, 0]])
    yield play.receive("a", [8, [2, 1, 0]]).send("a", [6, False, b"c"])
    play = Play("the window counts bytes, and one part is always admitted", "WIN-2", "WIN-1")
    play.open(limits=TINY | {"window_bytes": 3}).prove()
    play.command("send", "a", hex="6161616161").send("a", [6, False, b"aaaaa"]).command("send", "a", hex="62")
    yield play.receive("a", [8, [1, 1, 0]]).send("a", [6, False, b"b"])
    play = Play("a detached session gives no numbers", "NUM-1", "ATT-12").attach().drop("a").event("detached")
    play.command("send", "a", hex="61").resume("b", 1)
    yield play.resumed("b", 1, (0, 0, 0), "secret1", [6, False, b"a"])
    for clause, title, counts in (
        ("CNT-5", "sent that differs from what arrived", [0, 0, 1]),
        ("CNT-4", "sent that jumps", [0, 0, 9]),
        ("ACK-4", "received that was never sent", [1, 0, 0]),
        ("CNT-8", "delivered above received", [0, 1, 0]),
    ):
        for kind, packet in (("ACK", [8, counts]), ("PING", [9, 1, counts]), ("PONG", [10, 1, counts])):
            play = Play(f"{title}, in {kind}", clause, "RST-1").attach().receive("a", packet)
            yield play.send("a", [5, 3, [0, 0, 0]]).event("reset", reason="DRIFT")
    play = Play("lower counts are stale", "CNT-6").attach()
    for digits in ("61", "62"):
        play.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
    play.receive("a", [8, [2, 2, 0]], [8, [1, 1, 0]]).drop("a").event("detached").resume("b", 1, (2, 2, 0))
    yield play.resumed("b", 1, (0, 0, 2), "secret1")
    play = (
        Play("uncounted messages move no count", "CNT-7").attach().receive("a", [7, b"v"]).event("volatile", hex="76")
    )
    play.command("volatile", "a", hex="77").send("a", [7, b"w"])
    yield play.receive("a", [9, 1, [0, 0, 0]]).send("a", [10, 1, [0, 0, 0]])
    play = Play("an ACK leaves with the 32nd delivery", "ACK-1").attach()
    play.receive("a", *[[6, False, b"x"]] * 31)
    for number in range(1, 32):
        play.event("message", number=number)
    play.receive("a", [6, False, b"x"]).event("message", number=32)
    yield play.send("a", [8, [32, 32, 0]])
    windows: list[tuple[str, dict[str, Any], bytes]] = [
        ("in parts", {"window_messages": 8}, b"x"),
        ("in bytes", {"window_bytes": 400}, b"x" * 50),
    ]
    for title, config, body in windows:
        play = Play(f"an ACK leaves with a quarter of the window, {title}", "ACK-1", **config).attach()
        play.receive("a", [6, False, body]).event("message", number=1)
        yield play.receive("a", [6, False, body]).event("message", number=2).send("a", [8, [2, 2, 0]])
    play = Play("an ACK leaves 250 ms after the first delivery", "ACK-2", "ACK-5", window_messages=8).attach()
    play.receive("a", [6, False, b"x"]).event("message", number=1).advance(0.25).send("a", [8, [1, 1, 0]])
    yield play.receive("a", [8, [0, 0, 1]])
    play = Play("what leaves carries the deliveries", "ACK-3", level="SHOULD").attach()
    play.receive("a", [6, False, b"x"]).event("message", number=1)
    yield play.command("send", "a", hex="61").send("a", [6, False, b"a"], [8, [1, 1, 1]])
    play = Play("a part beyond the window is not taken", "WIN-3", window_messages=2, deliver=False).attach()
    play.receive("a", *[[6, False, b"x"]] * 2).event("message", number=1).event("message", number=2)
    play.receive("a", [6, False, b"x"]).send("a", close(102, True, True)).event("closed", "a", code="FLOW").event(
        "detached"
    )
    play.resume("b", 1, (0, 0, 2)).resumed("b", 1, (2, 0, 0), "secret1").prove("b", (0, 0, 2), first=False)
    play.receive("b", [6, False, b"x"]).send("b", close(102, True, True)).event("closed", "b", code="FLOW")
    play.event("detached").resume("c", 2, (0, 0, 2), "secret1").resumed("c", 2, (2, 0, 0), "secret2")
    play.prove("c", (0, 0, 2), first=False).receive("c", [6, False, b"x"])
    yield play.send("c", [5, 5, [2, 0, 0]]).event("reset", reason="FLOW")
    play = Play("a long message is a run, and the others wait", "PRT-1", "PRT-2", "PRT-4", "NUM-3")
    play.open(limits=LIMITS | {"window_messages": 1}).prove()
    long: Any = [{"repeat": "78", "times": 65_537}]
    play.command("send", "a", hex=long).send("a", [6, True, SLEEPER]).command("send", "a", hex="61")
    play.receive("a", [8, [1, 1, 0]]).send("a", [6, False, b"x"])
    yield play.receive("a", [8, [2, 2, 0]]).send("a", [6, False, b"a"])
    play = Play("a run cut between its parts goes on at the next", "PRT-3", "PRT-4", "NUM-5").attach()
    play.receive("a", [6, True, b"ab"], [6, True, b"cd"]).drop("a").event("detached")
    play.resume("b", 1, (0, 0, 3)).resumed("b", 1, (2, 2, 0), "secret1").prove("b", (0, 0, 2), first=False)
    yield play.receive("b", [6, False, b"ef"]).event("message", hex="616263646566", number=3)
    play = Play("a message above message_bytes ends the session", "PRT-5", message_bytes=4).attach()
    play.receive("a", [6, True, b"abc"], [6, False, b"de"]).send("a", [5, 4, [1, 1, 0]])
    yield play.event("reset", reason="OVERFLOW")


def living() -> Iterator[Play]:
    """SPEC 8 to 12, the server."""
    play = Play("an idle link is pinged, and silence after it is death", "LIV-1", "LIV-2").attach().advance(45)
    play.send("a", [9, Chosen("uint", "token"), [0, 0, 0]], close(101, True, True)).closed("a")
    yield play.event("closed", "a", code="TIMEOUT").event("detached")
    play = Play("a PONG nobody asked for states counts all the same", "LIV-8")
    play.open(limits=TINY | {"window_messages": 1}).prove()
    play.command("send", "a", hex="61").send("a", [6, False, b"a"]).command("send", "a", hex="62")
    yield play.receive("a", [10, 99, [1, 1, 0]]).send("a", [6, False, b"b"])
    play = Play("after a RESET everything is discarded until OPEN", "RST-4", "RST-5", "ATT-17", "PKT-15").attach()
    play.receive("a", [8, [7, 7, 7]]).send("a", [5, 3, [0, 0, 0]]).event("reset", reason="DRIFT")
    play.receive("a", [6, False, b"x"], [8, [9, 8, 7]], [9, 1, None], [12, None], [4, 1, [0, 0, 0], bytes(32)])
    yield play.reopen("a", session="x").prove("a")
    play = Play("what is discarded must be well formed", "RST-4").attach()
    play.receive("a", [8, [7, 7, 7]]).send("a", [5, 3, [0, 0, 0]]).event("reset", reason="DRIFT")
    yield play.raw("a", "00", "0").violated("a", attached=False)
    play = Play("a deadline runs from the RESET", "ATT-13").attach().advance(1)
    play.receive("a", [8, [7, 7, 7]]).send("a", [5, 3, [0, 0, 0]]).event("reset", reason="DRIFT").advance(9.9)
    yield play.advance(0.1).send("a", close(101, True, True)).event("closed", "a", code="TIMEOUT")
    play = Play("an ended session is told with its counts, and stays ended", "RST-2", "RST-8", "RST-1", "ATT-14")
    play.attach().receive("a", [6, False, b"x"]).event("message", number=1)
    play.receive("a", [5, 11, [0, 0, 1]]).event("reset", reason="INTERNAL")
    for link, attempt in (("b", 1), ("c", 7)):
        play.resume(link, attempt, (0, 0, 1)).send(link, [5, 11, [1, 1, 0]])
    yield play
    play = Play("tombstones are forgotten, the oldest first", "RST-2", "RST-3", tombstones=1)
    for link, session in (("a", "x"), ("b", "y")):
        play.open(link, session=session).receive(link, bye(300, False, False)).closed(link)
        play.event("closed", link, code="NORMAL").event("reset", reason="CLOSED")
    for link, session, answer in (("c", "x", [5, 1, None]), ("d", "y", [5, 7, [0, 0, 0]])):
        play.connect(link)
        play.receive(link, [3, name(f"session{session}"), name(f"secret{session}0"), INCARNATION, 1, [0, 0, 0], TOKEN])
        play.event("authenticate", link).command("accept", link, principal="ann").send(link, answer)
    yield play
    quick: dict[str, Any] = {
        "resume_period_ms": 60_000,
        "ping_interval_ms": 5_000,
        "pong_wait_ms": 5_000,
        "handshake_ms": 5_000,
    }
    play = Play("a detached session expires", "EXP-1", "RST-2", "RST-8", **quick).attach().drop("a").event("detached")
    play.advance(59.9).advance(0.1).event("reset", reason="EXPIRED").resume("b", 1).send("b", [5, 2, [0, 0, 0]])
    yield play
    play = Play("a tombstone lasts one resume period", "RST-2", "RST-3", **quick).attach().drop("a").event("detached")
    play.advance(60).event("reset", reason="EXPIRED").advance(60).resume("b", 1).send("b", [5, 1, None])
    yield play
    play = Play("the smaller resume period holds", "EXP-1", **quick).open(wanted=2_000).prove()
    yield play.drop("a").event("detached").advance(2).event("reset", reason="EXPIRED")
    play = Play("a goodbye ends the session, and what came before it is handed over", "EXP-2", "CLS-3").attach()
    play.receive("a", [6, False, b"x"], bye(300, False, False), [6, False, b"y"]).closed("a")
    play.event("message", hex="78", number=1).event("closed", "a", code="NORMAL").event("reset", reason="CLOSED")
    yield play.resume("b", 1, (0, 0, 1)).send("b", [5, 7, [1, 0, 0]])
    play = Play("another CLOSE only detaches", "EXP-2").attach().receive("a", bye(100, True, True)).closed("a")
    play.event("closed", "a", code="GOING_AWAY").event("detached").resume("b", 1)
    yield play.resumed("b", 1, (0, 0, 0), "secret1")
    play = Play("a CLOSE on an unattached link ends no session", "CLS-6", "EXP-2").attach().connect("b")
    play.receive("b", bye(300, False, False)).closed("b").event("closed", "b", code="NORMAL")
    yield play.receive("a", [6, False, b"x"]).event("message", number=1)
    play = Play("after its CLOSE a side says and takes nothing", "CLS-3", "CLS-6").attach()
    play.command("close", "a", code="SESSION_ENDED", reason="over")
    play.send("a", [13, 200, "over", True, False, 0, 0, None, None])
    play.event("closed", "a", code="SESSION_ENDED").event("reset", reason="CLOSED")
    yield play.receive("a", [6, False, b"x"], [9, 1, [0, 0, 1]]).resume("b", 1).send("b", [5, 7, [0, 0, 0]])
    play = Play("a protocol error keeps the session and what was taken before", "CLS-5").attach()
    play.receive("a", [6, False, b"x"]).event("message", number=1)
    play.receive("a", [4, 1, [0, 0, 0], bytes(32)]).violated("a").resume("b", 1, (0, 0, 1))
    yield play.resumed("b", 1, (1, 1, 0), "secret1")
    play = Play("the end of a link ends its last packet", "PKT-11", "CAR-31", "CAR-30", level="MUST").attach()
    play.receive("a", [6, False, b"x"]).event("message", number=1).drop("a").event("detached")
    yield play.resume("b", 1, (0, 0, 2)).resumed("b", 1, (1, 1, 0), "secret1")
    play = Play("new credentials are asked for and accepted", "AUT-1", "AUT-2").attach()
    play.command("reauthenticate", "a", within_ms=5_000).send("a", [12, 5_000])
    play.receive("a", [11, {"token": "new"}]).event("authenticate", "a", credentials={"token": "new"})
    play.command("accept", "a", principal="ann").send("a", [12, None]).advance(0.1)
    yield play.receive("a", [6, False, b"x"]).event("message", number=1)
    play = Play(
        "without new credentials the link ends, the session does not",
        "AUT-3",
        ping_interval_ms=50_000,
        resume_period_ms=200_000,
    ).attach()
    play.command("reauthenticate", "a", within_ms=1).send("a", [12, 1]).advance(0.001)
    yield play.send("a", close(302, False, True)).event("closed", "a", code="UNAUTHORIZED").event("detached")
    for title, verdict, members, number, code, clauses in (
        ("refused", "refuse", {}, 302, "UNAUTHORIZED", ("AUT-2",)),
        ("not judged", "unavailable", {}, 105, "UNAVAILABLE", ("AUT-2",)),
        ("somebody else's", "accept", {"principal": "bob"}, 302, "UNAUTHORIZED", ("AUT-4",)),
    ):
        play = Play(f"AUTH with credentials that are {title}", *clauses).attach()
        play.receive("a", [11, TOKEN]).event("authenticate", "a").command(verdict, "a", **members)
        play.send("a", close(number, number != 302, True, when=number == 105))
        yield play.event("closed", "a", code=code).event("detached")
    play = Play("a second AUTH before the answer is a protocol error", "AUT-5").attach()
    yield play.receive("a", [11, TOKEN]).event("authenticate", "a").receive("a", [11, TOKEN]).violated("a")


def client() -> Iterator[Play]:
    """SPEC 4 to 12, the client."""

    def play(description: str, *spec: str, **config: Any) -> Play:
        return Play(description, *spec, role="client", **config)

    yield play("OPEN, and the ACK that proves the secret", "ATT-3", "ATT-4", "ACK-5").start().welcome()
    one = play("nothing leaves between OPEN and its answer", "ATT-2", "NUM-1", "ATT-12").start()
    yield one.command("send", "a", hex="61").welcome("a", [6, False, b"a"])
    offers: list[tuple[str, dict[str, Any]]] = [("a version", {"version": 2}), ("a feature", {"features": ["z"]})]
    for title, changes in offers:
        one = play(f"{title} that was not offered", "VER-4").start().welcome(**changes)
        yield one.violated("a", attached=False)
    one = play("attempts rise by one, whatever became of the last", "ATT-4", "ATT-10").start().welcome().drop("a")
    one.event("detached").again("b", 1).drop("b").again("c", 2).receive("c", bye(301, False, False, 2)).closed("c")
    yield one.event("closed", "c", code="SUPERSEDED").again("d", 3)
    one = play("a client sends from where the server stands", "ATT-12", "NUM-5", "CNT-5", "SEC-2").start().welcome()
    for digits in ("61", "62"):
        one.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
    one.drop("a").event("detached").command("send", "a", hex="63").again("b", 1, (0, 0, 2))
    one.receive("b", [4, 1, [1, 1, 0], bytes([7]) * 32])
    one.send("b", [8, [0, 0, 1]], [6, False, b"b"], [6, False, b"c"]).event("resumed", replayed=1)
    yield one.drop("b").event("detached").again("c", 2, (0, 0, 3), secret=7)
    one = play("the RESUMED of an older attempt is ignored", "ATT-8").start().welcome().drop("a").event("detached")
    one.again("b", 1).drop("b").again("c", 2).receive("c", [4, 1, [9, 9, 9], bytes([7]) * 32])
    yield one.receive("c", [4, 2, [0, 0, 0], bytes([8]) * 32]).send("c", [8, [0, 0, 0]]).event("resumed")
    one = play("another holder of the session", "ATT-9", "RST-6").start().welcome()
    one.command("send", "a", hex="61").send("a", [6, False, b"a"])
    one.receive("a", bye(301, False, False, 4)).closed("a").event("closed", "a", code="SUPERSEDED")
    yield one.event("reset", reason="TAKEN_OVER", known_delivered=0, unknown=1, not_sent=0).start("b")
    one = play("an older link is left without a word", "ATT-15").start().welcome().again("b", 1)
    one.receive("a", [6, False, b"late"], [9, 1, [0, 0, 1]])
    one.receive("b", [4, 1, [0, 0, 0], bytes([7]) * 32]).send("b", [8, [0, 0, 0]]).event("resumed")
    yield one.receive("b", [6, False, b"x"]).event("message", hex="78", number=1)
    one = play("a message instead of the answer is a protocol error", "ATT-19", "PKT-10").start()
    yield one.receive("a", [6, False, b""]).violated("a", attached=False)
    one = play("a second answer is a protocol error", "ATT-19").start().welcome()
    answer: list[Any] = [
        2,
        1,
        [],
        b"s2",
        bytes(32),
        INCARNATION,
        1,
        1,
        1,
        LIMITS | {"operations": 1, "operation_bytes": 1},
    ]
    yield one.receive("a", answer).violated("a")
    one = play("OPEN from a server is a protocol error", "PKT-15").start()
    yield one.receive("a", [1, [1], [], {}, None, LIMITS]).violated("a", attached=False)
    for title, counts in (
        ("received above what was numbered", [2, 0, 0]),
        ("delivered above received", [0, 1, 0]),
        ("sent below what was received", [1, 0, 0]),
    ):
        one = play(f"in RESUMED, {title}", "ATT-11", "RST-5", "RST-1").start().welcome()
        one.command("send", "a", hex="61").send("a", [6, False, b"a"]).receive("a", [6, False, b"x"])
        one.event("message", number=1).drop("a").event("detached").again("b", 1, (1, 1, 1))
        one.receive("b", [4, 1, counts, bytes(32)])
        one.send("b", [5, 3, [1, 1, 1]], [1, [1], [], TOKEN, None, LIMITS])
        yield one.event("reset", reason="DRIFT", known_delivered=0, unknown=1, not_sent=0)
    one = play("after a RESET the client opens on the same link and sends nothing again", "RST-5", "RST-7", "RST-4")
    one.start().welcome().command("send", "a", hex="61").send("a", [6, False, b"a"]).receive("a", [5, 2, [0, 0, 0]])
    one.send("a", [1, [1], [], TOKEN, None, LIMITS]).event("reset", reason="EXPIRED", unknown=1)
    one.receive("a", [6, False, b"old"], [8, [9, 8, 7]], [9, 1, None], [4, 5, [0, 0, 0], bytes(32)])
    yield one.welcome(session=b"s2").command("send", "a", hex="62").send("a", [6, False, b"b"])
    one = play("a reason that is not known is taken all the same", "RST-11", "RST-5").start().welcome()
    yield one.receive("a", [5, 4_711, None]).send("a", [1, [1], [], TOKEN, None, LIMITS]).event("reset")
    one = play("the answers of a CLOSE hold, whatever its code", "CLS-2", "CLS-6", "CLS-1").start().welcome()
    one.receive("a", bye(150, True, False)).closed("a").event("closed", "a", reconnect=True, resume=False)
    yield one.event("reset", reason="CLOSED").start("b")
    one = play("a CLOSE on an unattached link ends no session", "CLS-6").start().welcome().drop("a").event("detached")
    one.again("b", 1).receive("b", bye(105, True, False)).closed("b").event("closed", "b", code="UNAVAILABLE")
    yield one.again("c", 2)
    one = play("a silent server is dead", "LIV-4", "EXP-5", "LIV-2").start().welcome().advance(34.9)
    one.advance(0.1).send("a", close(101, True, True)).event("closed", "a", code="TIMEOUT").event("detached")
    yield one.again("b", 1)
    one = play("a PING is answered with its token and the client's counts", "LIV-3", "CNT-5").start().welcome()
    one.receive("a", [6, False, b"x"]).event("message", number=1).receive("a", [9, 2**53, [0, 0, 1]])
    yield one.send("a", [10, 2**53, [1, 1, 0]])
    one = play("a server sends no PING before the attach", "LIV-7").start().receive("a", [9, 1, None])
    yield one.violated("a", attached=False)
    one = play("the window of the server holds", "WIN-1", "NUM-3").start().welcome(limits=TINY)
    for digits in ("61", "62"):
        one.command("send", "a", hex=digits).send("a", [6, False, bytes.fromhex(digits)])
    one.command("send", "a", hex="63")
    yield one.receive("a", [8, [1, 1, 0]]).send("a", [6, False, b"c"])
    one = play("sent that differs from what arrived", "CNT-5", "RST-1", "RST-5").start().welcome()
    one.receive("a", [8, [0, 0, 3]]).send("a", [5, 3, [0, 0, 0]], [1, [1], [], TOKEN, None, LIMITS])
    yield one.event("reset", reason="DRIFT")
    one = play("a goodbye ends the session", "EXP-2", "CLS-3").start().welcome()
    one.command("close", "a", code="NORMAL", reason="bye").send("a", [13, 300, "bye", False, False, 0, 0, None, None])
    yield one.event("closed", "a", code="NORMAL").event("reset", reason="CLOSED").receive("a", [6, False, b"x"])
    one = play("credentials are wanted, sent and accepted", "AUT-1", "AUT-2", "AUT-5").start().welcome()
    one.receive("a", [12, 5_000]).event("credentials_wanted", within_ms=5_000)
    one.command("credentials", credentials={"token": "new"}).send("a", [11, {"token": "new"}])
    yield one.receive("a", [12, 5_000]).receive("a", [12, None]).event("credentials_accepted")
    one = play("a complete export goes on where the original was", "EXP-4", "EXP-3").start().welcome()
    one.command("send", "a", hex="61").send("a", [6, False, b"a"]).command("restart", export=True)
    one.again("b", 1, (0, 0, 1)).receive("b", [4, 1, [0, 0, 0], bytes([7]) * 32])
    yield one.send("b", [8, [0, 0, 0]], [6, False, b"a"]).event("resumed", replayed=1)


FILES: Final = {
    "server-opening": opening,
    "server-resuming": resuming,
    "server-counting": counting,
    "server-living": living,
    "client": client,
}
