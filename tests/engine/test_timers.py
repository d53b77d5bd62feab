"""The table of deadlines."""

from hawser_engine.timers import Timer, Timers


def test_a_timer_expires_at_its_deadline_and_only_once() -> None:
    timers = Timers()
    timers.set(Timer.PING, 2.0)
    assert (timers.pop_expired(1.9), timers.pop_expired(2.0), timers.pop_expired(2.0)) == (None, Timer.PING, None)


def test_setting_a_timer_again_moves_it() -> None:
    timers = Timers()
    timers.set(Timer.ACK, 2.0)
    timers.set(Timer.ACK, 5.0)
    assert timers.get(Timer.ACK) == timers.next_timeout() == 5.0
    assert timers.pop_expired(3.0) is None


def test_a_stopped_timer_is_forgotten_and_need_not_be_set() -> None:
    timers = Timers()
    timers.set(Timer.ACK, 2.0)
    timers.stop(Timer.ACK)
    timers.stop(Timer.ACK)
    assert timers.get(Timer.ACK) is None
    assert timers.next_timeout() is None


def test_the_next_timeout_is_the_earliest() -> None:
    timers = Timers()
    for timer, deadline in ((Timer.PING, 3.0), (Timer.ACK, 1.0), (Timer.WRITE, 2.0)):
        timers.set(timer, deadline)
    assert timers.next_timeout() == 1.0


def test_timers_that_expire_together_come_in_the_order_of_their_members() -> None:
    timers = Timers()
    for timer in reversed(Timer):
        timers.set(timer, 1.0)
    assert [timers.pop_expired(1.0) for _ in Timer] == list(Timer)


def test_a_later_timer_does_not_come_out_with_an_expired_one() -> None:
    timers = Timers()
    timers.set(Timer.HANDSHAKE, 9.0)
    timers.set(Timer.CLOSE, 1.0)
    assert timers.pop_expired(2.0) is Timer.CLOSE
    assert timers.pop_expired(2.0) is None


def test_clearing_forgets_everything() -> None:
    timers = Timers()
    for timer in Timer:
        timers.set(timer, 1.0)
    timers.clear()
    assert timers.next_timeout() is None
