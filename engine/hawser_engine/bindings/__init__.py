"""Bindings: how the engine's batches travel in other people's protocols, sans-IO like the rest.

They alone in this repository import wsproto and h11, and the session core knows nothing of them.
"""
