"""Measure the processor time of a receiver with idle associations: `python -m benchmarks.idle_associations`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from benchmarks import servers  # its import makes the modules of the tests importable
from db import schema
from db.engine import Database, open_database

__all__ = ["servers"]

_CALLER = """
import sys
from pynetdicom import AE
entity = AE()
entity.add_requested_context("1.2.840.10008.1.1")
associations = [entity.associate("127.0.0.1", int(sys.argv[1]), ae_title="NIGHTREAD") for _ in range(int(sys.argv[2]))]
print(sum(one.is_established for one in associations), flush=True)
sys.stdin.read()
"""


@click.command()
@click.option("--associations", default=30, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Duration of the measurement.")
def main(associations: int, seconds: float) -> None:
    """Print the share of one core that a receiver takes while its associations are idle."""
    from cstore_receiver import running_receiver  # type: ignore[import-not-found] # tests/cstore_receiver.py

    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as folder:
        url = f"sqlite:///{folder}/nightread.sqlite3"
        limits = {"associations": associations, "associations_per_address": associations}
        with (
            closing(_new_database(url)) as database,
            running_receiver(Path(folder), database, **limits) as receiver,
            _idle_callers(receiver.port, associations) as established,
        ):
            before = time.process_time()
            time.sleep(seconds)
            share = (time.process_time() - before) / seconds
    click.echo(f"{established} idle associations take {share:.1%} of one core.")


def _new_database(url: str) -> Database:
    database = open_database(url, durable=True)
    schema.upgrade(database)
    return database


@contextmanager
def _idle_callers(port: int, associations: int) -> Iterator[int]:
    """Open associations in another process, and keep them open without traffic."""
    command = [sys.executable, "-c", _CALLER, str(port), str(associations)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None  # noqa: S101 - it is a pipe
        yield int(caller.stdout.readline())
        caller.kill()


if __name__ == "__main__":
    main()
