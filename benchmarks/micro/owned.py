"""What one object alone keeps alive, counted object by object: the same number in every run of one Python.

`tracemalloc` sees more, the places in the server's tables for one; this sees enough to notice what grows, and where.
"""

import gc
import sys
import types
from collections.abc import Iterable

__all__ = ["owned", "owned_bytes"]

_SHARED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


def owned(root: object, twin: object, outside: Iterable[object]) -> list[object]:
    """Return the objects that ``root`` reaches and that are its own.

    Args:
        root: Where to begin; one of them.
        twin: Another object of the same kind and history: what it reaches too is shared.
        outside: Whose objects these are not; the walk goes no further there.
    """
    limits = {id(one) for one in outside}
    others = _reach(twin, limits)
    return [one for name, one in _reach(root, limits).items() if name not in others]


def owned_bytes(root: object, twin: object, outside: Iterable[object]) -> int:
    """Return the size of `owned` in bytes, headers of the garbage collector included."""
    return sum(sys.getsizeof(one) for one in owned(root, twin, outside))


def _reach(root: object, limits: set[int]) -> dict[int, object]:
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and id(one) not in limits and not isinstance(one, _SHARED):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return seen
