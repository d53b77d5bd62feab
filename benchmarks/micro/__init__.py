"""Micro benchmarks of the engine: ``python -m benchmarks.micro``. How they measure: benchmarks/README.md."""
