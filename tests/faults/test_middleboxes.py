"""Behind real middleboxes, with the documented files and with worse ones, every message arrives exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from tests.faults.exchange import QUICK
from tests.faults.journey import Traffic
from tests.faults.middleboxes import FILES, MIDDLEBOXES, Middlebox, adapted, behind, pass_through
from tests.faults.networks import CARRIAGES
from tests.faults.processes import completed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.networks import Outcome

SHORT = Traffic(300, 2.0)


def program_of(middlebox: Middlebox, request: pytest.FixtureRequest) -> str | None:
    """Where its program is; without it, the test is skipped or fails as the fixture decides."""
    if middlebox.program is None:
        return None
    found: str = request.getfixturevalue(middlebox.program)
    return found


def check_cost(outcome: Outcome) -> None:
    assert outcome.bytes_sent > outcome.journey.payload_bytes


# ---------------------------------------------------------------- the files


@pytest.mark.parametrize("name", [name for name, each in MIDDLEBOXES.items() if each.program is not None])
def test_every_variant_replaces_lines_that_the_documented_file_has(name: str) -> None:
    middlebox = MIDDLEBOXES[name]
    assert middlebox.program is not None
    text = FILES[middlebox.program].read_text(encoding="utf-8")
    made = adapted(text, middlebox.changes, [8_001, 8_080], 8_000)
    code = "\n".join(line.partition("#")[0] for line in made.splitlines())
    assert code.count("127.0.0.1:8000") == 1
    assert code.count("127.0.0.1:8001") == 1
    assert code.count("127.0.0.1:8080") == (middlebox.program == "haproxy")


def test_a_line_that_is_not_there_any_more_is_missed() -> None:
    with pytest.raises(AssertionError, match="0 times 'proxy_buffering maybe;'"):
        adapted(FILES["nginx"].read_text(encoding="utf-8"), {"proxy_buffering maybe;": ""}, [1, 2], 3)


# ---------------------------------------------------------------- short


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "carriage"), [("nginx", "ws"), ("nginx-no-websocket", "auto"), ("haproxy", "poll"), ("swallowing", "ws")]
)
async def test_a_middlebox_costs_no_message(
    name: str, carriage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    middlebox = attrs.evolve(MIDDLEBOXES[name], traffic=SHORT)
    check_cost(await pass_through(middlebox, carriage, tmp_path, program=program_of(middlebox, request), config=QUICK))


@pytest.mark.slow
async def test_who_insists_on_websocket_is_told_that_it_is_refused(tmp_path: Path, nginx: str) -> None:
    async with behind(MIDDLEBOXES["nginx-no-websocket"], tmp_path, program=nginx) as proxy:
        code, out, err = await completed("call", f"http://127.0.0.1:{proxy.port}/", "echo", "--transport", "ws")
    assert (code, out) == (1, "")
    assert "426" in err


# ---------------------------------------------------------------- in full


@pytest.mark.slow
@pytest.mark.verify
@pytest.mark.parametrize("carriage", CARRIAGES)
@pytest.mark.parametrize("name", MIDDLEBOXES)
async def test_every_middlebox_costs_no_message(
    name: str, carriage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With every default of the server."""
    middlebox = MIDDLEBOXES[name]
    if middlebox.refuses_websocket and carriage == "ws":
        pytest.skip("it lets no WebSocket pass; what is said then is another test")
    check_cost(await pass_through(middlebox, carriage, tmp_path, program=program_of(middlebox, request)))
