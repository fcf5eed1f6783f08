"""Bytes in, bytes out: the shapes of Azure OpenAI and OpenAI. Pure: no I/O, clock or logging."""
