"""All limits and times, in one validated place with units in their names (SPEC 18)."""

from __future__ import annotations

from typing import Any

import attrs

from hawser_engine.config import EngineConfig

from .amounts import check_number


def _least(least: float, *, whole: bool = False) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_number(attribute.name, value, least, whole=whole)

    return check


def _number(default: float, least: float, *, whole: bool = False) -> Any:
    return attrs.field(default=default, validator=_least(least, whole=whole))


def _amount(default: int, least: int = 1) -> Any:
    return _number(default, least, whole=True)


@attrs.frozen(kw_only=True)
class Config(EngineConfig):
    """The configuration of a server or a client; a wrong value is refused with the name of the field."""

    calls_per_session: int = _amount(64)
    """Calls of one session that run at once; one more is answered BUSY (SPEC CAL-6). A worker has at most so many calls
    of others (SPEC AGT-4)."""
    stream_items: int = _amount(32)
    """Items of one stream that may be on their way to this side or wait here, in each direction (SPEC STR-2)."""
    stream_bytes: int = _amount(65_536)
    """Sum of their payloads; one item may be beyond it."""
    agents_per_session: int = _amount(16)
    """Agents that one session offers; one more is answered LIMIT (SPEC AGT-8)."""
    workers_per_agent: int = _amount(1_000)
    """Sessions that offer one agent; one more is answered LIMIT."""
    channels_per_session: int = _amount(128)
    """Channels that one session subscribes to; one more is refused LIMIT (SPEC SUB-5)."""
    cleanup_seconds: float = _number(5.0, 0)
    """How long `App.on_disconnect` handlers have when a session has ended."""
    connections_per_user: int = _amount(20)
    """Sessions of one principal that are attached at once; one more is sent back OVERLOADED (SPEC LIM-3). Everybody
    whom the application does not tell apart, `ANONYMOUS`, has no such limit."""
    detached_per_user: int = _amount(20)
    """Sessions of one principal that wait for it without a link; beyond them the one that is detached longest is given
    up, and its client told so when it comes back (SPEC LIM-3, RST-6). `ANONYMOUS` has no such limit either."""
    attaches_per_second: float = _number(200.0, 0.001)
    """Clients that attach within any second, over whatever transport; one more is sent back OVERLOADED and told its
    turn (SPEC LIM-3). New sessions have four fifths of it, so that there is room for those who resume."""
    joins_per_second: float = _number(20.0, 0.1)
    """Channels that one session subscribes to in a second, requests to watch or to be a member, and offers; above it
    they wait (SPEC LIM-1, PRS-12, AGT-15)."""
    joins_burst: int = _amount(128)
    """So many of them at once after a pause."""
    backoff_base_seconds: float = _number(0.5, 0.001)
    """A client's first backoff is drawn up to this; it doubles with every attempt without progress (SPEC REC-1)."""
    breaker_attempts: int = _amount(5)
    """After so many attempts in a row that never attached a client only probes (SPEC REC-3)."""
    probe_min_seconds: float = _number(1.0, 0.001)
    """The least wait before the first probe; it doubles with every one that fails, up to `backoff_cap_seconds`."""
    probe_max_seconds: float = _number(5.0, 0.001)
    """The most of it; not below `probe_min_seconds`."""
    session_seconds: float | None = attrs.field(default=None, validator=attrs.validators.optional(_least(0.001)))
    """How long the session of a client lives without a link, if less than the server would have it; None leaves it to
    the server, but for ``connect(…, agent=True)``, which makes it 10: whoever waits for an agent is told as late that
    it is lost (SPEC AGT-9)."""
    spread_seconds: float = _number(5.0, 0)
    """A client comes back within this after a CLOSE that names no time (SPEC REC-2)."""
    spread_max_seconds: float = _number(3_600.0, 0)
    """The longest that a client stays away because a CLOSE asks for it."""
    look_seconds: float = _number(5.0, 0.1)
    """A client looks so often whether its machine has slept, to probe its link at once (SPEC LIV-5)."""
    redirects: int = _amount(5, 0)
    """How often in a row a client lets CLOSE send it to another URL without any progress (SPEC CLS-8)."""
    credentials_seconds: float = _number(10.0, 0.001)
    """How long the function that fetches a client's credentials may take."""
    credentials_refusals: int = _amount(3)
    """After so many refusals in a row of credentials that had just been fetched a client gives up."""
    connect_seconds: float = _number(10.0, 0.001)
    """How long `connect` tries before it gives up, where no session was reached yet."""
    drain_seconds: float = _number(30.0, 0)
    """How long a server that drains has in all: for what is running, for what its clients have not taken yet, and, of
    it, 5 s for the goodbye and ``cleanup_seconds``."""
    returns_per_second: float = _number(160.0, 0.001)
    """How many clients a second a server that drains asks to come back (SPEC CLS-9): 80 % of 200 attaches."""
    ring_messages: int = _amount(100)
    """What a channel without history keeps for subscribers that are behind; the oldest go first (SPEC CHN-7)."""
    ring_bytes: int = _amount(65_536)
    """Sum of their payloads; the newest is always kept."""
    filters_per_channel: int = _amount(1_000)
    """Different filters in one channel at once, each of which looks at every publication (SPEC SUB-13)."""
    direct_messages: int = _amount(100)
    """What is sent to a client waits there up to so many messages; who sends more is told (SPEC ADR-5)."""
    direct_bytes: int = _amount(262_144)
    """Sum of their payloads; one may be beyond it."""
    asked_at_once: int = _amount(1_000)
    """Members of channels whose answers one session may wait for; above it `Client.collect` is refused (SPEC ASK-4)."""
    asking_seconds: float = _number(60.0, 0.001)
    """How long they may be waited for."""
    answer_bytes: int = _amount(16_384)
    """The longest answer of a member that is taken; a longer one counts as refused (SPEC ASK-3)."""
    wildcards_per_session: int = _amount(16)
    """Patterns of channels that one session subscribes to; one more is refused LIMIT (SPEC WLD-7)."""
    wildcards_behind: int = _amount(128)
    """Channels of its patterns that a session may be behind in; with one more it loses what it has not had of a
    pattern (SPEC WLD-6)."""
    wildcards_known: int = _amount(10_000)
    """Channels that only patterns have, of which a server remembers how far they were reported; what is late or lost of
    another one is not noticed when a session subscribes to it."""
    leave_grace_seconds: float = _number(10.0, 0)
    """How long a member of a channel may be without a link before it has left (SPEC PRS-9), and a worker of an agent
    before the directory tells so (SPEC AGT-13)."""
    presence_step_seconds: float = _number(1.0, 0)
    """What changes among the members of a channel, or in the directory of agents, is told at most so often (SPEC PRS-8,
    AGT-13)."""
    presence_listed: int = _amount(1_000)
    """Of a channel with more members only their number is told (SPEC PRS-10)."""
    presence_lease_seconds: float = _number(60.0, 0.1)
    """When a server has died, its members and its sessions are gone for other servers after so long (SPEC PRS-11,
    ADR-12)."""
    mailboxes_per_session: int = _amount(16)
    """Mailboxes that one session holds or waits for; one more is answered LIMIT (SPEC MBX-13)."""
    letters_in_hand: int = _amount(1_000)
    """Letters that a holder has and has not settled, at most, whatever it asks for."""
    mailbox_sweep_seconds: float = _number(5.0, 0.001)
    """How often a server looks for letters whose time is over, to publish them where dead letters go (SPEC MBX-9)."""
    mailbox_letters: int = _amount(32)
    """Letters that a client which holds a mailbox asks for ahead of the one that it is at (SPEC MBX-6)."""
    mailbox_bytes: int = _amount(262_144)
    """Sum of their payloads; one is always given."""
    subscription_messages: int = _amount(1_000)
    """Messages that wait in one subscription of a client before it asks for a pause (SPEC CHN-10)."""
    subscription_bytes: int = _amount(262_144)
    """Sum of their payloads."""
    upgrade_head_start_seconds: float = _number(0.25, 0)
    """A client that has the choice gives the better carriage so long before it starts the sure one as well."""
    upgrade_probe_seconds: float = _number(5.0, 0.001)
    """A link of the better carriage that has not answered a PING in this time is blocked (SPEC ATT-18)."""
    upgrade_strikes: int = _amount(3)
    """So many of its links in a row that died soon, and it is tried only now and then."""
    upgrade_steady_seconds: float = _number(10.0, 0)
    """Until when is soon, from the attach on."""
    upgrade_pause_seconds: float = _number(30.0, 0.001)
    """How long at most until it is tried again, and at least half of that; twice as long each further time."""
    upgrade_pause_cap_seconds: float = _number(900.0, 0.001)
    """Until when that grows."""

    def __attrs_post_init__(self) -> None:
        """Check what holds between fields."""
        super().__attrs_post_init__()
        if self.probe_max_seconds < self.probe_min_seconds:
            raise ValueError(f"probe_max_seconds is {self.probe_max_seconds:g}; it must not be below probe_min_seconds")
