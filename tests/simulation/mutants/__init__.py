"""Planted bugs: the engine with one mistake at a time, to show that the simulator would notice it.

``python -m tests.simulation.mutants --help`` says how to run them. A mutant is a patch of the engine's source that is
applied in a process of its own while the engine is imported; the product knows nothing of it. Nothing in this package
imports the engine before a patch is in place.
"""
