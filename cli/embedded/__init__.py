"""Run the whole pipeline on one machine: child processes, embedded server, state folder."""
