"""What pages of other origins may do (SPEC CAR-29)."""

import pytest

from hawser_engine.bindings.longpoll import Browsers
from tests.engine.bindings.origins import STRANGERS

PAGES = Browsers(["https://example.org", "http://localhost:3000", "null"])


def test_a_listed_origin_may_send_and_read_what_the_protocol_needs() -> None:
    reply = PAGES.preflight("https://example.org")
    headers = dict(reply.headers)
    assert (reply.status, reply.body) == (204, b"")
    assert headers["access-control-allow-origin"] == "https://example.org"
    assert headers["access-control-allow-methods"] == "GET, POST"
    assert set(headers["access-control-allow-headers"].split(", ")) == {
        "hawser-session",
        "hawser-secret",
        "hawser-generation",
        "hawser-number",
        "hawser-counts",
        "hawser-first",
        "content-type",
    }
    assert int(headers["access-control-max-age"]) == 7_200
    assert headers["vary"] == "origin"
    lines = PAGES.lines("http://localhost:3000")
    assert lines.endswith("\r\n")
    headers = dict(line.split(": ") for line in lines[:-2].split("\r\n"))
    assert headers["access-control-allow-origin"] == "http://localhost:3000"
    assert set(headers["access-control-expose-headers"].split(", ")) == {
        "hawser-counts",
        "hawser-first",
        "retry-after",
    }


@pytest.mark.parametrize("origin", STRANGERS)
def test_any_other_origin_is_refused(origin: str) -> None:
    """SPEC CAR-7, CAR-29: compared exactly; no wildcard, and null is in no list."""
    assert not PAGES.admits(origin)
    assert PAGES.lines(origin) == ""
    assert PAGES.preflight(origin).status == 403


def test_who_is_no_browser_names_no_origin() -> None:
    assert PAGES.admits(None)
    assert PAGES.admits("https://example.org")
    assert PAGES.lines(None) == ""
    assert PAGES.preflight(None).status == 403
