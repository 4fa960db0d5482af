"""What the service remembers: plain, portable SQL beside the functions that use it.

An operation is a function of a `Tx`; a driver (`sqlite`, `postgres`) decides how and when to run it.
"""
