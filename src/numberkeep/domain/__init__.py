"""The rules: states, moves, limits, errors. No I/O, no clock, no randomness."""
