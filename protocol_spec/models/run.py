"""Check the models of this folder with Spin, and show that each wrong variant of them fails: `command.py` says how.

A search passes only if its verdict is the expected one *and* it was complete.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path


def _terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # so that the verifier is killed and its directory removed


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it runs where nothing is installed
    from models.command import main

    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
