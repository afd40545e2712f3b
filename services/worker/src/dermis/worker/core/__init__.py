"""Pure functions on bytes, arrays and values: no I/O, clock, random or logging. The trainer uses the very same."""
