"""The tool that cancels an operation at a chosen checkpoint."""

from __future__ import annotations

import trio

from hawser_transports.cancelling import cancel_at_checkpoint


async def test_each_checkpoint_of_an_operation_is_visited_in_turn() -> None:
    reached: list[int] = []

    async def operation() -> None:
        reached.append(0)
        for number in range(1, 4):
            await trio.lowlevel.checkpoint()
            reached[-1] = number

    visits = 0
    while await cancel_at_checkpoint(operation, visits):
        visits += 1
        reached.append(-1)
    assert visits == 4
    assert [number for number in reached if number >= 0] == [0, 0, 1, 2, 3]
