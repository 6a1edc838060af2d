"""Run the worker: `python -m worker celery -A worker.app worker OPTIONS` does what Celery's own command does.

It takes the same arguments, but imports only that command. `celery` first imports all of its commands, Flower and a
shell, which takes as long as everything that a worker needs of Celery.
"""

import sys

from celery.bin.base import CLIContext
from celery.bin.worker import worker

from worker.app import app

_PROGRAM = ["celery", "-A", "worker.app", "worker"]


def main() -> None:
    """Start the worker and stay until it ends. Raises SystemExit with its exit code."""
    program, options = sys.argv[1:5], sys.argv[5:]
    if program != _PROGRAM:
        sys.exit(f"Usage: python -m worker {' '.join(_PROGRAM)} OPTIONS")
    context = CLIContext(app=app, no_color=False, workdir=None)
    sys.exit(worker.main(options, prog_name=" ".join(program), obj=context, standalone_mode=False))


if __name__ == "__main__":
    main()
