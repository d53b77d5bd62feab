"""Tags that count how often filters look at them."""

from __future__ import annotations

from typing import Any


class Counted(dict[str, str]):
    """Tags that count how often they are asked for."""

    asked = 0

    def get(self, key: str, default: Any = None) -> Any:
        """See `dict.get`."""
        self.asked += 1
        return super().get(key, default)
