"""Whole systems by seed; ``python -m tests.simulation --help`` says how to run them."""
