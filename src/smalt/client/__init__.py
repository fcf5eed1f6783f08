"""The library door: SDK clients and transports over one fleet."""
