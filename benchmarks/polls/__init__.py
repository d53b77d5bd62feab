"""Hawser's long-poll beside servers that answer a plain POST; method: benchmarks/README.md."""
