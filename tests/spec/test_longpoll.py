"""Every vector of the long-poll carriage, against the binding."""

from typing import Any

import pytest

from tests.engine.pair import counting_bytes
from tests.spec.longpoll_player import PollPlayer
from tests.spec.polling_player import PollingPlayer
from tests.spec.vector_files import cases

SCENES = list(cases("longpoll"))
NAMES = [f"{path}: {each['description']}" for path, each in SCENES]


def player(scene: dict[str, Any]) -> PollPlayer | PollingPlayer:
    return (PollPlayer if scene["role"] == "server" else PollingPlayer)(scene, counting_bytes())


@pytest.mark.parametrize(("path", "scene"), SCENES, ids=NAMES)
def test_a_scene_runs_as_written(path: str, scene: dict[str, Any]) -> None:
    player(scene).play(scene["steps"])


@pytest.mark.parametrize(("path", "scene"), SCENES[::5], ids=NAMES[::5])
def test_a_scene_with_an_output_left_out_fails(path: str, scene: dict[str, Any]) -> None:
    play = player(scene)
    outputs = [index for index, step in enumerate(scene["steps"]) if set(play.OUTPUTS) & step.keys()]
    steps = [step for index, step in enumerate(scene["steps"]) if index != outputs[-1]]
    with pytest.raises(AssertionError):
        play.play(steps)


def test_descriptions_are_unique() -> None:
    assert len(NAMES) == len(set(NAMES))
