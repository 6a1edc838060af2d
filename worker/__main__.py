"""Run the worker: `python -m worker celery -A worker.app worker OPTIONS` does what Celery's own command does.

This program imports only Celery's command `worker`. The program `celery` would also import its other commands, Flower
and a shell, which would double the time of the import.
"""

import gc
import logging
import os
import sys

_PROGRAM = ["celery", "-A", "worker.app", "worker"]


def main() -> None:
    """Run the worker until it ends, and end this process with the worker's exit code."""
    program, options = sys.argv[1:5], sys.argv[5:]
    if program != _PROGRAM:
        sys.exit(f"Usage: python -m worker {' '.join(_PROGRAM)} OPTIONS")
    gc.disable()  # there is no garbage while modules are imported; worker.preload enables it
    from celery.bin.base import CLIContext  # noqa: PLC0415 - after the line above
    from celery.bin.worker import worker  # noqa: PLC0415

    from worker.app import app  # noqa: PLC0415

    context = CLIContext(app=app, no_color=False, workdir=None)
    code = worker.main(options, prog_name=" ".join(program), obj=context, standalone_mode=False)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code or 0)  # the pool has ended; freeing 100 MB object by object would take 0.3 s


if __name__ == "__main__":
    main()
