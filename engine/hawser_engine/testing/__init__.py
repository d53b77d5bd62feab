"""Pure helpers for those who test what they build on the engine: faulty links, driven by a seeded random source."""

from .links import FaultyLink, Pipe, Random

__all__ = ["FaultyLink", "Pipe", "Random"]
