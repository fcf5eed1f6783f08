"""Runs a call with real I/O: two thin loops over a one-method sender, and our own upstream connections."""
