"""What smalt shows to an upstream, and only to the upstream it belongs to."""
