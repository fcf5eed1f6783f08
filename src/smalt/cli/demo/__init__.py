"""`smalt demo`: the main job as a story, with real processes and sockets, and offline."""
