"""What a client proves itself with: given once, or fetched by the application whenever other ones are needed.

Rule: at most one fetch at a time, and never two attempts with credentials that were refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import attrs
import trio

from hawser.payloads import encode_payload
from hawser.timekeeper import Age


@attrs.frozen
class Credentials:
    """What a function that fetches credentials may return, if it knows how long they are good for."""

    values: Mapping[str, Any] = attrs.field(repr=False)
    """What `App.authenticate` gets."""
    seconds: float | None = None
    """For so long from now on; None if that is for the server to say."""


FetchCredentials: TypeAlias = Callable[[], Awaitable[Mapping[str, Any] | Credentials]]
"""An async function that returns credentials."""


class CredentialsMissing(Exception):
    """There are none to attach with now."""


class Wallet:
    """The credentials of one client.

    Args:
        given: What they are, or what fetches them.
        fetch_seconds: How long a fetch may take.
        refusals_max: After so many refusals in a row of what had just been fetched, no other ones are fetched.
    """

    def __init__(self, given: Mapping[str, Any] | FetchCredentials, *, fetch_seconds: float, refusals_max: int) -> None:
        self.fetches: bool = callable(given)
        """Whether other ones can be fetched."""
        self.values: Mapping[str, Any] = {} if callable(given) else given
        """The present ones."""
        self._fetch = given if callable(given) else None
        self._fetch_seconds = fetch_seconds
        self._refusals_max = refusals_max
        self._stale = self.fetches
        self._good_seconds: float | None = None
        self._age = Age()
        self._fetched: int = 0
        self._unproved = False  # fetched, and neither accepted nor refused yet
        self._refused: Mapping[str, Any] | None = None
        self._refusals = 0
        self._lock = trio.Lock()

    @property
    def good(self) -> bool:
        """Whether they may be used for an attempt."""
        return not self._stale and (self._good_seconds is None or self._age.seconds < self._good_seconds)

    def put(self, values: Mapping[str, Any]) -> None:
        """The application has others itself."""
        self._take(Credentials(values))

    def expire(self) -> None:
        """The server wants other ones."""
        self._stale = self.fetches

    def accepted(self) -> None:
        """The server has accepted the present ones."""
        self._unproved = False
        self._refusals = 0
        self._refused = None

    def refused(self) -> bool:
        """The server has refused the present ones.

        Returns:
            Whether others may be fetched and tried.
        """
        self._refused = self.values
        self._refusals += self._unproved
        self.expire()
        return self.fetches and self._refusals < self._refusals_max

    async def fetch(self) -> None:
        """Get other ones; if that is being done already, those.

        Raises:
            CredentialsMissing: It failed, took too long, or brought nothing else than what was refused.
        """
        assert self._fetch is not None
        before = self._fetched
        async with self._lock:
            if self._fetched != before:
                return
            try:
                with trio.fail_after(self._fetch_seconds):
                    fetched = await self._fetch()
                credentials = fetched if isinstance(fetched, Credentials) else Credentials(fetched)
                encode_payload(dict(credentials.values))
            except trio.TooSlowError as error:
                raise CredentialsMissing(f"no credentials within {self._fetch_seconds:g} s") from error
            except Exception as error:  # whatever it is: an application's fault here must not end the client
                raise CredentialsMissing(f"no credentials: {type(error).__name__}") from error
            if credentials.values == self._refused:
                raise CredentialsMissing("the credentials are still those that the server has refused")
            self._take(credentials)
            self._unproved = True
            self._fetched += 1

    def _take(self, credentials: Credentials) -> None:
        self.values = credentials.values
        self._good_seconds = credentials.seconds
        self._age = Age()
        self._stale = False
