"""Runs by seed: their clock says what Trio's own does, and their story depends on nothing but the seed."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hawser.testing import run_seeded, seeded_scheduling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Story = list[tuple[float, str]]


async def live(story: Story) -> None:
    """Sleep, wait, give up, and wait for others, at times that no float holds exactly."""
    source = random.Random(5)

    async def be(name: str) -> None:
        for _ in range(40):
            with trio.move_on_after(source.choice([0, 0.1, 1 / 3, 7.7])) as patience:
                await trio.sleep(source.choice([0, 0.1, 0.2, 1e-9, 1e4 / 3]))
            story.append((trio.current_time(), f"{name} {patience.cancelled_caught}"))
            if source.random() < 0.2:
                await wait_all_tasks_blocked(source.choice([0.0, 0.01]))
                story.append((trio.current_time(), f"{name} alone"))

    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(be, name)
    story.append((trio.current_time(), "over"))


def by_trio(function: Callable[[], Awaitable[object]], seed: int) -> None:
    with seeded_scheduling(seed):
        trio.run(function, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", range(3))
def test_it_tells_the_story_that_the_clock_of_trio_tells(seed: int) -> None:
    expected: Story = []
    by_trio(partial(live, expected), seed)
    story: Story = []
    run_seeded(live, story, seed=seed)
    assert story == expected
    assert len(story) > 160


def test_another_seed_tells_another_story() -> None:
    stories: list[Story] = []
    for seed in range(3):
        story: Story = []
        run_seeded(live, story, seed=seed)
        stories.append(story)
    assert stories[0] != stories[1] != stories[2]


def test_what_looks_on_at_each_rest_changes_nothing() -> None:
    expected: Story = []
    run_seeded(live, expected, seed=1)
    story: Story = []
    rests: list[float] = []
    run_seeded(live, story, seed=1, at_rest=lambda: rests.append(trio.current_time()))
    assert story == expected
    assert rests == sorted(rests)
    assert {moment for moment, _ in story} <= {*rests, story[-1][0]}


def test_what_is_wrong_at_a_rest_ends_it() -> None:
    """The first of it: what follows while the program ends is not looked at."""
    half_done = False
    ended = False

    async def main() -> None:
        nonlocal half_done, ended
        try:
            await trio.sleep(1)
            half_done = True
            await trio.sleep(1)
            half_done = False
            await trio.sleep(1)
        finally:
            ended = trio.current_time() == 1
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
                raise ValueError("while it ends")

    def look() -> None:
        assert not half_done, f"half done at {trio.current_time():g}"

    with pytest.raises(AssertionError, match="half done at 1"):
        run_seeded(main, seed=1, at_rest=look)
    assert ended


def test_its_clock_can_be_moved_by_hand() -> None:
    async def main() -> float:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(3.5)
        return trio.current_time()

    assert run_seeded(main, seed=1) == 3.5


def test_whoever_is_woken_by_a_thread_is_woken() -> None:
    async def main() -> int:
        return await trio.to_thread.run_sync(lambda: 5)

    assert run_seeded(main, seed=1) == 5
