"""The protocol's models hold, their wrong variants fail, and the runner believes only complete searches."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from models.command import main
from models.searches import CYCLE, HOLDS, INVARIANTS, SIZES, VARIANTS, Search
from models.verifier import FOLDER, SearchFailed, check, fingerprint, parse

WRONG = [search for searches in VARIANTS.values() for search in searches]
FIRST = [searches[0] for searches in VARIANTS.values()]

COMPLETE = """\

(Spin Version 6.5.2 -- 6 December 2019)
\t+ Compression

Full statespace search for:
\tnever claim         \t- (not selected)
\tassertion violations\t+
\tcycle checks       \t- (disabled by -DSAFETY)
\tinvalid end states\t+

State-vector 332 byte, depth reached 63, errors: 0
    19250 states, stored
    45252 states, matched
    64502 transitions (= stored+matched)
       40 atomic steps
hash conflicts:       300 (resolved)

Stats on memory usage (in Megabytes):
    2.615\tequivalent memory usage for states (stored*(State-vector + overhead))
    1.438\tactual memory usage for states (compression: 54.99%)
         \tstate-vector as stored = 166 byte + 36 byte overhead
    2.000\tmemory used for hash table (-w18)
    4.578\tmemory used for DFS stack (-m100000)
    7.945\ttotal actual memory usage


pan: elapsed time 0.09 seconds
"""

VIOLATED = "pan:1: assertion violated (( !((64&64))||(c_secret==s_pending))||LOCKED_OUT) (at depth 39)\n"


def failed(report: str) -> str:
    return report + COMPLETE.replace("errors: 0", "errors: 1").replace(
        "\n\t+ Comp", "\nWarning: Search not completed\n\t+ Comp"
    )


# ---------------------------------------------------------------- the searches


@pytest.mark.slow
@pytest.mark.parametrize("search", SIZES["small"], ids=lambda search: search.name)
def test_the_protocol_holds_in_the_small_size(search: Search) -> None:
    outcome = check(search, seconds=120)
    assert outcome.findings.verdict == HOLDS
    assert outcome.passed, f"situations that occurred: {outcome.findings.witnesses}"


# One for each rule; what else follows from breaking it is for the long form.
@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    [pytest.param(search, id=search.name, marks=() if search in FIRST else pytest.mark.verify) for search in WRONG],
)
def test_a_wrong_variant_fails_as_expected(search: Search) -> None:
    outcome = check(search, seconds=120)
    assert outcome.findings.verdict == search.expected
    assert outcome.trail


def test_the_variants_cover_the_rules_and_every_invariant_is_seen_to_fail() -> None:
    assert set(VARIANTS) >= {
        "NO_FENCE",
        "ORDER_BY_ARRIVAL",
        "PREVIOUS_IS_LAST_ISSUED",
        "ACK_BEFORE_DELIVERED",
        "AMBIGUOUS_RESUME_POSITION",
        "ONE_COUNT",
        "NO_ACK_TIMER",
        "NO_RECHECK",
        "ACCEPT_ANY_RESUMED",
    }
    assert {search.expected for search in WRONG} == {*INVARIANTS, CYCLE}


def test_every_variant_is_a_switch_that_a_model_has() -> None:
    for name, searches in VARIANTS.items():
        for search in searches:
            text = (FOLDER / search.model).read_text(encoding="utf-8")
            assert re.search(rf"^#(if|elif) !?{name}$", text, re.MULTILINE), name


# ---------------------------------------------------------------- the recorded large searches


@pytest.fixture(name="large")
def recorded_large_searches() -> Any:
    return json.loads((FOLDER / "large.json").read_text(encoding="utf-8"))


def test_the_recorded_large_searches_are_of_the_present_models_and_all_held(large: Any) -> None:
    for model, recorded in large["models"].items():
        assert recorded == fingerprint(model), (
            f"{model} has changed: run `python protocol_spec/models/run.py --size large"
            " --report protocol_spec/models/large.json` and bring the table in README.md up to date"
        )
    assert [entry["name"] for entry in large["searches"]] == [search.name for search in SIZES["large"]]
    for entry, search in zip(large["searches"], SIZES["large"], strict=True):
        assert entry["passed"] is True
        assert entry["verdict"] == HOLDS
        assert entry["defines"] == search.defines
    assert max(entry["states"] for entry in large["searches"]) >= 3_000_000


def test_the_readme_shows_the_recorded_figures(large: Any) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for entry in large["searches"]:
        row = f"| {entry['states']:,} | {entry['depth']} | {entry['seconds']:.0f} s | {entry['memory_mib']:,.0f} MiB |"
        assert row in text, f"{entry['name']}: {row}"
    for name in VARIANTS:
        assert f"`{name}`" in text


# ---------------------------------------------------------------- the runner


def test_a_complete_search_is_read_whole() -> None:
    findings = parse("witness 2: b\nwitness 1: a\n" + COMPLETE)
    assert findings.verdict == HOLDS
    assert (findings.states, findings.transitions, findings.depth) == (19250, 64502, 63)
    assert findings.memory_mib == 7.945
    assert findings.witnesses == ["a", "b"]


@pytest.mark.parametrize(
    ("report", "verdict"),
    [(VIOLATED, "LOCKED_OUT"), ("pan:1: acceptance cycle (at depth 114)\n", CYCLE)],
)
def test_a_failed_search_is_named(report: str, verdict: str) -> None:
    assert parse(failed(report)).verdict == verdict


@pytest.mark.parametrize(
    "output",
    [
        "",
        COMPLETE.replace("19250 states, stored", "2.1e+08 states, stored"),
        COMPLETE.replace("errors: 0", "errors: 1"),
        COMPLETE.replace(", errors: 0", ""),
        COMPLETE + COMPLETE,
        "error: max search depth too small\n" + COMPLETE,
        "pan: reached -DMEMLIM bound\n" + COMPLETE,
        "pan: out of memory\n" + COMPLETE,
        COMPLETE.replace("\n\t+ Comp", "\nWarning: Search not completed\n\t+ Comp"),
        "pan: error: too many processes -- current max is 10 procs (-DNFAIR=3)\n" + COMPLETE,
        "error: proctype 'Waits' line 697, state 2: has unconditional self-loop\n" + COMPLETE,
        VIOLATED + COMPLETE,
        VIOLATED + failed(VIOLATED),
        failed(VIOLATED.replace("LOCKED_OUT", "SOMETHING_ELSE")),
        failed("pan:1: invalid end state (at depth 12)\n"),
        failed("pan:1: block in d_step seq (at depth 43)\n"),
        failed("pan:1: assertion violated - invalid array index (at depth 40)\n"),
    ],
)
def test_what_is_not_wholly_understood_proves_nothing(output: str) -> None:
    with pytest.raises(SearchFailed):
        parse(output)


def test_a_passed_search_needs_every_situation_to_have_occurred() -> None:
    search = SIZES["small"][0]
    assert search.witnesses > 10
    assert "-DWITNESS=1" in search.arguments()


@pytest.mark.slow
def test_a_search_without_enough_memory_fails() -> None:
    with pytest.raises(SearchFailed, match=r"not complete.*MEMLIM"):
        check(SIZES["small"][0], memory_mib=8)


def test_a_search_that_takes_too_long_fails() -> None:
    with pytest.raises(SearchFailed, match="longer than the time limit"):
        check(SIZES["small"][0], seconds=0.01)


def test_a_missing_tool_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--variant", "NO_FENCE"]) == 1
    assert capsys.readouterr().err == "spin is not installed: `make install` installs Spin and a C compiler\n"
    with pytest.raises(SearchFailed, match="make install"):
        check(WRONG[0])


def test_the_command_line_names_its_searches_without_making_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(SIZES["small"]) + len(WRONG)
    assert "NO_ACK_TIMER: STUCK: attach.pml -DNO_ACK_TIMER=1 -DWATCH=512" in listed


def test_an_unknown_variant_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--variant", "NO_SUCH"])
    assert raised.value.code == 2


@pytest.mark.slow
def test_a_report_and_a_trail_can_be_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert main(["--variant", "PREVIOUS_IS_LAST_ISSUED", "--trail", "--report", str(report)]) == 0
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written["tools"]["spin"].startswith("Spin Version 6")
    assert set(written["models"]) == {"attach.pml"}
    (entry,) = written["searches"]
    assert (entry["verdict"], entry["passed"]) == ("LOCKED_OUT", True)
    assert entry["commands"][0] == "spin -a -DPREVIOUS_IS_LAST_ISSUED=1 -DWATCH=64 attach.pml"
    assert "C: RESUME 2 secret 0" in capsys.readouterr().out
