"""Hawser's benchmarks; README.md says how they measure."""
