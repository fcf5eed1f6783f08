"""Frameworks over a fleet, where one argument of the framework is not enough."""
