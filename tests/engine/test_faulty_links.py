"""The faulty links lose only the end of what was written, and do the same for the same seed."""

from random import Random

import pytest

from hawser_engine.testing import FaultyLink


def drain(link: FaultyLink, side: int, now: float) -> tuple[bytes, bool]:
    """Read what ``side`` wrote until nothing more is there at ``now``."""
    read = b""
    pipe = link.pipes[side]
    while (due := pipe.due()) is not None and due <= now:
        chunks, ended = pipe.read(now)
        read += b"".join(chunks)
        if ended:
            return read, True
    return read, False


def test_everything_arrives_in_order_however_it_is_torn() -> None:
    link = FaultyLink(Random(1), delay=(0.1, 0.4), tear=0.8)
    written = [bytes([number]) * number for number in range(1, 60)]

    for number, batch in enumerate(written):
        link.pipes[0].write(batch, number / 10)
    read = b""
    torn = False
    for tick in range(200):
        read += drain(link, 0, tick / 10)[0]
        torn = torn or link.pipes[0].torn

    assert read == b"".join(written)
    assert link.pipes[0].held == 0
    assert link.pipes[0].due() is None
    assert link.pipes[1].due() is None


def test_batches_stay_whole() -> None:
    link = FaultyLink(Random(1), whole=True, tear=1.0)

    link.pipes[1].write(b"one", 0.0)
    link.pipes[1].write(b"two", 0.0)

    assert link.pipes[1].read(0.0) == ([b"one", b"two"], False)


def test_what_comes_early_waits() -> None:
    link = FaultyLink(Random(1), delay=(1.0, 1.0))
    link.pipes[0].write(b"late", 0.0)

    assert link.pipes[0].read(0.5) == ([], False)
    assert link.pipes[0].due() == 1.0


def test_a_stall_holds_everything_up() -> None:
    link = FaultyLink(Random(1))
    link.pipes[0].write(b"held", 0.0)
    link.stall(5.0)
    link.stall(3.0, (0,))

    assert link.pipes[0].read(4.0) == ([], False)
    assert link.pipes[0].due() == 5.0
    assert link.pipes[0].read(5.0) == ([b"held"], False)


@pytest.mark.parametrize("whole", [True, False])
def test_a_cut_loses_the_end_and_nothing_else(whole: bool) -> None:
    lengths: set[int] = set()
    for seed in range(200):
        link = FaultyLink(Random(seed), whole=whole)
        for _ in range(3):
            link.pipes[0].write(b"abcd", 0.0)
        link.cut((None, 1.0))
        link.pipes[0].write(b"swallowed", 0.0)

        read, ended = drain(link, 0, 2.0)

        assert (b"abcd" * 3).startswith(read)
        assert ended
        lengths.add(len(read))
    assert lengths == ({0, 4, 8, 12} if whole else set(range(13)))


def test_a_half_open_link_tells_one_side_only_and_fills_up() -> None:
    link = FaultyLink(Random(1), capacity=10)
    link.cut((2.0, None))

    assert link.pipes[0].due() is None
    assert link.pipes[1].due() == 2.0
    assert link.pipes[1].read(2.0) == ([], True)
    link.pipes[0].write(b"x" * 15, 0.0)
    assert link.pipes[0].left == 5


def test_an_end_in_order_comes_after_what_was_written() -> None:
    link = FaultyLink(Random(1), delay=(1.0, 1.0))
    link.pipes[0].write(b"last", 0.0)
    link.close(0, 0.5)
    link.close(0, 9.0)

    assert link.pipes[0].due() == 1.0
    assert link.pipes[0].read(1.0) == ([b"last"], True)
    assert link.pipes[1].due() is None


def test_an_empty_link_ends_at_once() -> None:
    link = FaultyLink(Random(1))
    link.close(1, 0.5)

    assert link.pipes[1].read(0.4) == ([], False)
    assert link.pipes[1].read(0.5) == ([], True)
