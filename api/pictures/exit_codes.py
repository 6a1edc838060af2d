"""Define the exit codes of the processes that make pictures."""

ANSWERED = 0
"""The child sent its response."""
CLOSED = 10
"""The API closed the connection, so there are no more requests."""
TIMED_OUT = 11
"""The child took longer than one picture may take."""
DIED = 12
"""The child died while it made the picture."""
