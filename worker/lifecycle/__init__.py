"""Start the worker, recover the work of dead processes, and restart a worker that stalls."""
