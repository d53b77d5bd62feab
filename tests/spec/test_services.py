"""Every scenario of the open service, against the runtime; and the player believes none that is wrong."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.spec.scenario_patterns import OUTPUTS
from tests.spec.service_player import play
from tests.spec.vector_files import cases

if TYPE_CHECKING:
    from trio.testing import MockClock

SERVICES = [(path, each) for path, each in cases("scenarios") if "service" in each["config"]]
IDS = [f"{path}: {each['description']}" for path, each in SERVICES]

every_service = pytest.mark.parametrize(("path", "scenario"), SERVICES, ids=IDS)


@every_service
async def test_a_scenario_runs_as_written(autojump_clock: MockClock, path: str, scenario: dict[str, Any]) -> None:
    await play(scenario)


@pytest.mark.slow
@every_service
async def test_a_scenario_with_an_output_left_out_fails(
    autojump_clock: MockClock, path: str, scenario: dict[str, Any]
) -> None:
    outputs = [index for index, step in enumerate(scenario["steps"]) if step.keys() & set(OUTPUTS)]
    steps = [step for index, step in enumerate(scenario["steps"]) if index != outputs[-1]]
    with pytest.raises(AssertionError):
        await play(scenario, steps)


@pytest.mark.slow
@every_service
async def test_a_scenario_with_another_output_fails(
    autojump_clock: MockClock, path: str, scenario: dict[str, Any]
) -> None:
    steps = copy.deepcopy(scenario["steps"])
    last = [step["send"] for step in steps if "send" in step][-1]
    last["hex"] = altered(last["hex"])
    with pytest.raises(AssertionError):
        await play(scenario, steps)


def altered(pattern: Any) -> Any:
    """Change one bit of the last byte that a pattern states, however deep it stands."""
    if isinstance(pattern, str):
        return pattern[:-1] + f"{int(pattern[-1], 16) ^ 1:x}"
    place = max(
        index for index, part in enumerate(pattern) if isinstance(part, str) or part.keys() & {"inside", "repeat"}
    )
    part = pattern[place]
    if isinstance(part, str):
        part = altered(part)
    else:
        key = "inside" if "inside" in part else "repeat"
        part = part | {key: altered(part[key])}
    return [*pattern[:place], part, *pattern[place + 1 :]]
