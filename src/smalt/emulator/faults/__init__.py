"""Faults by script: what goes wrong, where and when."""
