"""`python -m benchmarks.worker_profile`: where the processor time of a worker process goes, function by function.

One process does what `nightread run` spreads over several: it registers a folder, forms the batches, and analyses them
as a process of the pool does, the analysis under cProfile. Without --workload reading and network are stand-ins
(benchmarks.control_plane_run), so that what is listed is what the pipeline itself costs; with it, real files are
analysed.
cProfile makes small functions look some two thirds more expensive than they are: order and shares are what counts.
"""

import cProfile
import pstats
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click

from benchmarks.control_plane_run import no_reading, write_placeholders
from benchmarks.loops import ONE_THREAD
from benchmarks.workloads import WORKLOADS, write

_INSIDE = "_inside"


@click.command()
@click.option("--workload", type=click.Choice([*WORKLOADS]), help="Real files of this kind instead of stand-ins.")
@click.option("--images", default=20_480, show_default=True)
@click.option("--sort", default="tottime", show_default=True, type=click.Choice(["tottime", "cumtime"]))
@click.option("--lines", default=40, show_default=True)
def main(workload: str | None, images: int, sort: str, lines: int) -> None:
    """Profile one worker process."""
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as place, nullcontext() if workload else no_reading():
        folder = Path(place, "scans")
        if workload:
            write(WORKLOADS[workload], folder, images)
        else:
            write_placeholders(folder, images)
        # Stand-ins are put in place when an interpreter starts, and TensorFlow reads its settings when it is imported.
        arguments = [sys.executable, "-m", "benchmarks.worker_profile", _INSIDE, place, sort, str(lines)]
        subprocess.run(arguments, check=True)


def _profile(place: Path, sort: str, lines: int) -> None:
    import os

    os.environ.update(ONE_THREAD)

    from benchmarks.servers import private_redis
    from db import ledger, schema
    from db.engine import open_database
    from db.ledger import WorkerProcess
    from nightread.clock import utc_now
    from nightread.settings import load_settings
    from producer.folders.folder import Folder
    from producer.folders.intake import Intake
    from worker.analyse import analyse
    from worker.context import open_context
    from worker.isolation.in_flight import InFlightTable

    with private_redis() as url:
        settings = load_settings(state_dir=place / "state", model="phantom", redis_url=url)
        settings.state_dir.mkdir()
        database = open_database(settings.sql_url)
        schema.upgrade(database)
        Intake(settings, database, Folder.from_path(place / "scans", settings), lambda _new: None).register_all()
        formed = ledger.form_batches(
            database, count=10_000, images=settings.batch_images, max_bytes=settings.batch_bytes, now=utc_now()
        )
        process = WorkerProcess(node="profile", boot_id="profile", index=0)
        context = open_context(settings, url, process, InFlightTable().slot(0))
        analyse(context, formed[0].id)  # what is loaded and compiled once
        profile = cProfile.Profile()
        for batch in formed[1:]:
            profile.runcall(analyse, context, batch.id)
        database.close()
    images = sum(batch.images for batch in formed[1:])
    print(f"{images:,} images in {len(formed) - 1} batches")
    pstats.Stats(profile).strip_dirs().sort_stats(sort).print_stats(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        _profile(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
