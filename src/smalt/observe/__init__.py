"""What becomes of the records of calls. A sink is any function that takes a `CallRecord`."""
