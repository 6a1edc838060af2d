"""Start, recover and watch the worker process."""
