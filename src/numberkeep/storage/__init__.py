"""What the service stores: plain, portable SQL next to the functions that use it.

An operation is a function that takes a `Tx`; a driver (`sqlite`, `postgres`) decides how and when to run it.
"""
