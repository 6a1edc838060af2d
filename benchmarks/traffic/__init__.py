"""Generate hostile and honest traffic for a C-STORE receiver (benchmarks.hostile_traffic)."""
