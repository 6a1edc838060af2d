"""Profile a worker process by function: `python -m benchmarks.worker_profile`.

One process registers a folder, forms the batches, and analyses them as a process of the pool does; cProfile measures
the analysis. Without --workload, stand-ins replace reading and network (benchmarks.stand_ins), so that only the
pipeline itself is measured. With --workload, real files are analysed. cProfile makes small functions look about two
thirds slower than they are, so compare only the order and the shares.
"""

import cProfile
import pstats
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click

from benchmarks.baseline_loops import ONE_THREAD
from benchmarks.stand_ins import stand_ins_for_reading, write_placeholders
from benchmarks.workloads import WORKLOADS, write

_INSIDE = "_inside"


@click.command()
@click.option(
    "--workload", type=click.Choice([*WORKLOADS]), help="Analyse real files of this workload instead of stand-ins."
)
@click.option("--images", default=20_480, show_default=True)
@click.option("--sort", default="tottime", show_default=True, type=click.Choice(["tottime", "cumtime"]))
@click.option("--lines", default=40, show_default=True)
def main(workload: str | None, images: int, sort: str, lines: int) -> None:
    """Profile one worker process."""
    with (
        tempfile.TemporaryDirectory(prefix="nightread-bench-") as work_dir,
        nullcontext() if workload else stand_ins_for_reading(),
    ):
        folder = Path(work_dir, "scans")
        if workload:
            write(WORKLOADS[workload], folder, images)
        else:
            write_placeholders(folder, images)
        # A new interpreter: it installs the stand-ins at its start, and TensorFlow reads its settings at import.
        arguments = [sys.executable, "-m", "benchmarks.worker_profile", _INSIDE, work_dir, sort, str(lines)]
        subprocess.run(arguments, check=True)


def _profile(work_dir: Path, sort: str, lines: int) -> None:
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
        settings = load_settings(state_dir=work_dir / "state", model="phantom", redis_url=url)
        settings.state_dir.mkdir()
        database = open_database(settings.sql_url)
        schema.upgrade(database)
        Intake(settings, database, Folder.from_path(work_dir / "scans", settings), lambda _new: None).register_all()
        formed = ledger.form_batches(
            database, count=10_000, images=settings.batch_images, max_bytes=settings.batch_bytes, now=utc_now()
        )
        process = WorkerProcess(node="profile", boot_id="profile", index=0)
        context = open_context(settings, url, process, InFlightTable().slot(0))
        analyse(context, formed[0].id)  # loads and compiles, which happens once
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
