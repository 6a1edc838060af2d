"""Define the exit codes of the processes that make pictures."""

ANSWERED, CLOSED, TIMED_OUT, DIED = 0, 10, 11, 12
"""It answered its request; nothing more was asked; the time for one picture was over; the request killed its child."""
