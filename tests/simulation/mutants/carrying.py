"""Mutants of what carries packets: long-poll, and the move of a session from one link to another."""

from typing import Final

from .mutant import Edit, Mutant

__all__ = ["CARRYING"]

CARRYING: Final = (
    Mutant(
        "repeated-post-taken-twice",
        "A POST that is made again is taken again, with all that is not counted in it.",
        "CAR-21",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        elif number <= self._post_number:
""",
                """\
        elif number < self._post_number:
""",
            ),
        ),
    ),
    Mutant(
        "answer-to-auth-not-kept",
        "A POST with AUTH that is made again is answered with nothing.",
        "CAR-20",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        elif number == self._auth_number and self._auth_answer is not None:
            self._reply(exchange, 200, self._auth_answer)
""",
                """\
        elif number == self._auth_number and self._auth_answer is None:
            self._reply(exchange, 200, b"")
""",
            ),
        ),
    ),
    Mutant(
        "stale-poll-gets-fresh-data",
        "A GET whose number is not the highest is answered like one whose number is.",
        "CAR-16",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        if number <= self._get_number and self._final is None:
""",
                """\
        if number < 0 and self._final is None:
""",
            ),
        ),
    ),
    Mutant(
        "replaced-poll-not-answered",
        "A parked GET is forgotten when a higher one takes its place.",
        "CAR-16",
        "bindings.longpoll.server",
        (
            Edit(
                """\
            self._reply(self._parked, 204)
        self._parked = exchange
""",
                """\
            self._parked.context = None
        self._parked = exchange
""",
            ),
        ),
    ),
    Mutant(
        "what-has-left-has-arrived",
        "A server lets go of what a reply has carried, though nobody has stated that it came.",
        "CAR-19",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        if body is not None:
            self._outflow.left(body)
        self._reauth_new = self._hold_over = False
""",
                """\
        if body is not None:
            self._outflow.left(body)
            self._outflow.received(body.last)
        self._reauth_new = self._hold_over = False
""",
            ),
        ),
    ),
    Mutant(
        "fenced-poll-goes-on",
        "After a fence a long-poll connection still brings what it had to bring.",
        "CAR-25",
        "bindings.longpoll.server",
        (
            Edit(
                """\
            if packet.code == CloseCode.SUPERSEDED:
                self._outflow.clear()  # SPEC ATT-7
            self._finish(close_reply(packet, data))
""",
                """\
            self._finish(close_reply(packet, data))
""",
            ),
        ),
    ),
    Mutant(
        "hold-never-over",
        "A parked GET is not answered when the server asks for life.",
        "CAR-17",
        "bindings.longpoll.server",
        (
            Edit(
                """\
            self._hold_over = True
""",
                """\
            self._hold_over = False
""",
            ),
        ),
    ),
    Mutant(
        "post-answered-with-old-counts",
        "A POST is answered with the counts of before.",
        "CAR-23",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        self._received += new
""",
                """\
        self._received += new - len(batches)
""",
            ),
        ),
    ),
    Mutant(
        "reauth-said-once",
        "REAUTH stands in one body only, whether that arrives or not.",
        "CAR-20",
        "bindings.longpoll.server",
        (
            Edit(
                """\
        head = b"" if self._reauth is None else self._reauth
""",
                """\
        head = b"" if self._reauth is None or not self._reauth_new else self._reauth
""",
            ),
        ),
    ),
    Mutant(
        "uncounted-packets-leave-again",
        "What is not counted stands in every body until a MESSAGE behind it has come.",
        "CAR-21",
        "bindings.longpoll.outflow",
        (
            Edit(
                """\
            if entry in self._entries:
""",
                """\
            if entry in self._entries and len(self._entries) < 2:
""",
            ),
        ),
    ),
    Mutant(
        "post-number-used-again",
        "The POST behind one with a body has its number.",
        "CAR-21",
        "bindings.longpoll.client",
        (
            Edit(
                """\
                self._post_number += 1
""",
                """\
                self._post_number += 1 if body is None or not self._post_number else 0
""",
            ),
        ),
    ),
    Mutant(
        "failed-post-made-anew",
        "A POST that has failed is given up; what was in it leaves in the next.",
        "CAR-21",
        "bindings.longpoll.client",
        (
            Edit(
                """\
            self._counts_owed = True  # a POST is to bring what the lost reply may have told (SPEC CAR-28)
        return request
""",
                """\
            self._counts_owed = True  # a POST is to bring what the lost reply may have told (SPEC CAR-28)
        elif request is self._post:
            self._post = None
            return None
        return request
""",
            ),
        ),
    ),
    Mutant(
        "failed-get-made-again",
        "A GET that has failed is made again under its number.",
        "CAR-16",
        "bindings.longpoll.client",
        (
            Edit(
                """\
            self._get_number += 1
            self._get = request = self._request("GET", self._get_number)
""",
                """\
            self._get = request = self._request("GET", self._get_number)
""",
            ),
        ),
    ),
    Mutant(
        "lost-answer-not-asked-for",
        "A client that has lost the reply to a GET sends no POST.",
        "CAR-28",
        "bindings.longpoll.client",
        (
            Edit(
                """\
            self._counts_owed = True  # a POST is to bring what the lost reply may have told (SPEC CAR-28)
""",
                """\
            self._counts_owed = self._counts_owed and bool(self._post)
""",
            ),
        ),
    ),
    Mutant(
        "unknown-connection-is-asked-again",
        "A client that is answered 401 asks again.",
        "CAR-14",
        "bindings.longpoll.client",
        (
            Edit(
                """\
            elif not body and status in _WITHOUT_BODY:
""",
                """\
            elif not body and status in _WITHOUT_BODY[1:]:
""",
            ),
        ),
    ),
    Mutant(
        "states-more-than-came",
        "A client counts a MESSAGE too many in a body.",
        "CAR-15",
        "bindings.longpoll.client",
        (
            Edit(
                """\
        self._received += arrival.new
""",
                """\
        self._received += arrival.new + (arrival.new > 1)
""",
            ),
        ),
    ),
    Mutant(
        "retired-link-keeps-its-timers",
        "An older link goes on watching its peer after the RESUME has left on a newer one.",
        "ATT-15",
        "client_connection",
        (
            Edit(
                """\
        self._quiet()
        self._timers.clear()
        self._out.clear()
""",
                """\
        self._out.clear()
""",
            ),
        ),
    ),
)
