"""Every decision, pure: no I/O, clock, randomness, locks or logging. Time comes in as `now` (seconds on
one monotonic clock), chance as `unit` (a number in [0, 1)). Callers hold a lock around every method."""
