"""What a watcher of a world is told of presence, checked message by message against what was so (SPEC 15.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hawser_engine.channels import roll
from hawser_engine.presence import Changes, Member, Members, Present

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser import Client
    from hawser_engine.channels.attendance import Writing


class Past:
    """All that the presence of one channel has been, in order; a sink of the store that keeps it."""

    def __init__(self) -> None:
        self.states: list[dict[bytes, Member]] = [{}]

    def __call__(self, channel: str, changes: Sequence[Writing]) -> None:
        for change in changes:
            members = dict(self.states[-1])
            if change.entry is None:
                del members[change.member]
            else:
                members[change.member] = change.entry
            self.states.append(members)

    def find(self, since: int, members: dict[bytes, Member] | None, total: int) -> int | None:
        """When it was so for the first time since then; None: never."""
        for place, state in enumerate(self.states[since:], since):
            if state == members or (members is None and len(state) == total):
                return place
        return None


class Told:
    """What one watcher holds of one channel, by what it was told since it began to watch."""

    def __init__(self, view: object) -> None:
        self.view = view
        self.version = -1
        self.total = 0
        self.members: dict[bytes, Member] | None = None
        """None: only their number was told."""
        self._listing = False  # more of the same list is to come
        self._stepping = False  # and of the same step, perhaps

    @property
    def between(self) -> bool:
        """Whether more of the same list or step is to come."""
        return self._listing or self._stepping

    def hear(self, message: Members | Changes) -> str | None:
        """Take the next message; returns what is wrong with it."""
        wrong = self._list(message) if isinstance(message, Members) else self._step(message)
        self.version, self.total = message.version, message.total
        if not wrong and not self.between and self.members is not None and len(self.members) != self.total:
            return f"is told that there are {self.total}, and of {len(self.members)}"
        return wrong

    def _list(self, message: Members) -> str | None:
        going_on = self._listing and message.version == self.version
        if message.version < self.version:
            return f"is told version {message.version} after {self.version}"
        entries = {entry.member: entry for entry in message.members or ()}
        if len(entries) < len(message.members or ()) or (going_on and entries.keys() & (self.members or {}).keys()):
            return "is told of somebody twice in one list"
        if message.members is None:
            self.members = None
        else:
            self.members = {**((self.members or {}) if going_on else {}), **entries}
        self._listing, self._stepping = message.more, False
        return None

    def _step(self, message: Changes) -> str | None:
        if message.version != self.version + 1 or self.version < 0 or self._listing:
            return f"is told step {message.version} after {self.version}"
        concerned = [*(entry.member for entry in message.here), *message.gone]
        if len(set(concerned)) < len(concerned):
            return "is told of somebody twice in one step"
        if self.members is None:
            return "is told who comes where only the number is told" if concerned else None
        if not concerned:
            return "is told of nobody"
        for entry in message.here:
            if self.members.get(entry.member) == entry:
                return "is told again what it was told"
        if not set(message.gone) <= self.members.keys():
            return "is told that somebody leaves who was not there"
        self.members = {name: entry for name, entry in self.members.items() if name not in message.gone}
        self.members |= {entry.member: entry for entry in message.here}
        self._stepping = len(concerned) == roll.PIECE_ENTRIES
        return None


class Ear:
    """Stands between a client and what it is told of presence.

    Args:
        who: Whose client.
        client: The client.
        pasts: What has been, by channel.
        complain: Told what is wrong.
    """

    def __init__(self, who: str, client: Client, pasts: dict[str, Past], complain: Callable[[str], None]) -> None:
        self._who = who
        self._pasts = pasts
        self._complain = complain
        self._told: dict[str, Told] = {}
        self._since: dict[str, int] = dict.fromkeys(pasts, 0)  # nobody is ever told of an earlier state
        dialogue: Any = client._dialogue  # pyright: ignore[reportPrivateUsage]
        self._presences: Any = dialogue.presences
        self._take: Callable[[Present | Members | Changes], None] = self._presences.take
        self._opened: Callable[[], None] = self._presences.opened
        self._presences.take, self._presences.opened = self.take, self.opened

    def opened(self) -> None:
        """A new session: everything begins anew."""
        self._told.clear()
        self._opened()

    def take(self, message: Present | Members | Changes) -> None:
        """See `hawser.client.presence.Presences.take`."""
        channel = message.channel
        view = self._presences._open.get(channel)
        told: Told | None = None
        if not isinstance(message, Present):
            if channel in self._presences._leaving:
                self._told.pop(channel, None)
            elif view is None:
                self._wrong(channel, "is told of what it has left")
            else:
                told = self._hear(view, message)
        self._take(message)
        if told is not None and not told.between:
            held: Any = told.view
            if held._version != told.version:
                self._wrong(channel, f"was told version {told.version} and holds {held._version}")
            elif held.entries != (told.members or {}):
                self._wrong(channel, "holds something else than it was told")

    def _hear(self, view: Any, message: Members | Changes) -> Told:
        channel = message.channel
        told = self._told.get(channel)
        if told is None or told.view is not view:
            told = self._told[channel] = Told(view)
        wrong = told.hear(message)
        if wrong is not None:
            self._wrong(channel, wrong)
        elif not told.between:
            place = self._pasts[channel].find(self._since[channel], told.members, told.total)
            if place is None:
                self._wrong(channel, "is told what never was so, or is not any more")
            else:
                self._since[channel] = place
        return told

    def _wrong(self, channel: str, what: str) -> None:
        self._complain(f"{self._who} {what} ({channel})")
