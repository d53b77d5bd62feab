"""The configuration refuses what cannot work, by the name of the field."""

from typing import Any

import attrs
import pytest

from hawser_engine.config import EngineConfig


def build(name: str, value: Any) -> EngineConfig:
    options: dict[str, Any] = {name: value}
    return EngineConfig(**options)


FIELDS = [field.name for field in attrs.fields(EngineConfig)]
COUNTS = [name for name in FIELDS if isinstance(getattr(EngineConfig(), name), int)]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [-1, True, float("nan"), 10**18, "7", None])
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name: str, value: Any) -> None:
    """SPEC LIM-4: every bound is finite."""
    with pytest.raises((ValueError, TypeError), match=name):
        build(name, value)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        build(name, 1.5)


def test_the_defaults_are_those_of_the_specification() -> None:
    """The table of SPEC 18, and the guarantee's 75 seconds."""
    config = EngineConfig()
    assert (config.handshake_seconds, config.ping_interval_seconds, config.pong_wait_seconds) == (10, 25, 10)
    assert (config.resume_period_seconds, config.window_messages, config.window_bytes) == (120, 1_000, 262_144)
    assert (config.unconfirmed_sessions, config.tombstones, config.preattach_bytes) == (1_000, 20_000, 8_192)
    assert config.convergence_seconds == 75.0


def test_the_resume_period_leaves_time_to_converge() -> None:
    """SPEC EXP-6."""
    assert EngineConfig(resume_period_seconds=112.5).resume_period_seconds == 112.5
    with pytest.raises(ValueError, match=r"resume_period_seconds is 112; it must be at least 112\.5"):
        EngineConfig(resume_period_seconds=112.0)


def test_the_slow_acknowledgement_is_not_the_faster_one() -> None:
    """SPEC ACK-2."""
    with pytest.raises(ValueError, match="ack_slow_seconds"):
        EngineConfig(ack_seconds=1.0, ack_slow_seconds=0.5)


def test_a_connection_may_hold_a_whole_replay() -> None:
    """SPEC LIM-6: a lower bound would end every resume of a full session."""
    assert EngineConfig(window_bytes=1_000_000, outbound_bytes=1_065_536).window_bytes == 1_000_000
    with pytest.raises(ValueError, match="outbound_bytes is 1065535; it must hold"):
        EngineConfig(window_bytes=1_000_000, outbound_bytes=1_065_535)
