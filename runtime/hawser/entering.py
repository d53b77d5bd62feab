"""What is for the length of a block: used before, it would wait for what nobody has asked for."""

from __future__ import annotations


def not_entered(what: str) -> RuntimeError:
    """What is raised by something that is used before its block has begun.

    Args:
        what: What it is, with its article.
    """
    return RuntimeError(f"{what} is entered with async with before it is used")
