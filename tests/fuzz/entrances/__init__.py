"""Fuzz every entrance of nightread: `make fuzz-entrances`, docs/hostile-input.md."""
