"""What is wrong between smalt and Azure, and the command that mends it. Asks real servers; bills nothing
unless a question is asked on purpose (`trials.py`)."""
