"""Hawser and other Python servers side by side: ``python -m benchmarks.peers``; method: benchmarks/README.md."""
