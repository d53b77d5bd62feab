"""Macro benchmarks: whole servers under the loads of ``hawser bench``; method: benchmarks/README.md."""
