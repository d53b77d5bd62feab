"""What channels and calls cost: history, memory, joining, and a call there and back; method: benchmarks/README.md."""
