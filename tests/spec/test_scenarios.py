"""Every scenario that needs no service, against the engine; `test_services` plays the others."""

from typing import Any

import pytest

from tests.engine.pair import counting_bytes
from tests.spec.scenario_player import Player
from tests.spec.vector_files import cases

SCENARIOS = [(path, each) for path, each in cases("scenarios") if "service" not in each["config"]]


@pytest.mark.parametrize(
    ("path", "scenario"), SCENARIOS, ids=[f"{path}: {each['description']}" for path, each in SCENARIOS]
)
def test_a_scenario_runs_as_written(path: str, scenario: dict[str, Any]) -> None:
    Player(scenario, counting_bytes()).play(scenario["steps"])


def test_descriptions_are_unique() -> None:
    names = [(path, each["description"]) for path, each in cases("scenarios")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("path", "scenario"), SCENARIOS[::7], ids=[f"{path}: {each['description']}" for path, each in SCENARIOS[::7]]
)
def test_a_scenario_with_an_output_left_out_fails(path: str, scenario: dict[str, Any]) -> None:
    outputs = [index for index, step in enumerate(scenario["steps"]) if {"send", "event", "closed"} & step.keys()]
    steps = [step for index, step in enumerate(scenario["steps"]) if index != outputs[-1]]
    with pytest.raises(AssertionError):
        Player(scenario, counting_bytes()).play(steps)
