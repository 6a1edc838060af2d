"""Define `nightread run`: analyse the files of folders until every file has its outcome."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from cli.embedded.pipeline import Pipeline, pipeline
from cli.inputs.existing_database import one_line_errors
from cli.inputs.options import settings_from, state_options, worker_options
from cli.output.console import err, out
from cli.output.run_results import print_results_json, show_results
from cli.output.summary import Summary, show_summary, summarise
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.log import set_up_logging
from nightread.settings import Settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake

Answer = Callable[[Summary, Database], None]
"""Prints the results of a run."""
RUN_SETTINGS = {
    "retry_limit": 3,
    "retry_base_seconds": 0.5,
    "hold_missing_sources": False,
    "arrival_timeout_seconds": 0,
    "breaker_images": 0,
}
"""Settings of `run`: it retries for seconds instead of hours, because the user waits for the command."""


@click.command("run")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@worker_options
@state_options
@click.option(
    "--no-worker", is_flag=True, help="Start no worker, because workers elsewhere use the same Redis and database."
)
@click.option("--json", "as_json", is_flag=True, help="Print tally and results as JSON.")
def run_command(paths: tuple[Path, ...], no_worker: bool, as_json: bool, **options: Any) -> None:
    """Analyse all files at PATH and print results and tally.

    Files are assumed to be complete. The command ends when each file has its outcome. The results of up to 20 images
    and the latest 20 results of series are printed as tables; with --json all results are printed.

    Exit code 0: the counts add up, nothing failed, and at least one image has a result, or no file was found; 1: an
    image or a series failed, or no image has a result; 2: wrong usage.

    \b
    Example: nightread run ~/scans --model phantom
             nightread query --label nodule
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    set_up_logging(settings.log_format, "WARNING")
    # SIGTERM acts like Ctrl-C, so that child processes end, and the socket and `redis.url` are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def answer(summary: Summary, database: Database) -> None:
        if as_json:
            print_results_json(summary, database)
        else:
            show_results(out, summary, database, settings)
            show_summary(out, summary)
        sys.stdout.flush()

    with one_line_errors():
        summary = run(paths, settings, with_worker=not no_worker, answer=answer)
    sys.exit(summary.exit_code)


def run(
    paths: Sequence[Path],
    settings: Settings,
    *,
    with_worker: bool = True,
    answer: Answer = lambda _summary, _database: None,
) -> Summary:
    """Run the pipeline over `paths` until every file has its outcome. Raises UsageFault and StopWork.

    `answer` prints the results while the child processes end.
    """
    run_settings = settings.model_copy(
        update={name: value for name, value in RUN_SETTINGS.items() if name not in settings.model_fields_set}
    )
    folders = [Folder.from_path(path, run_settings) for path in paths]
    if run_settings.model is not None:
        _require_model(run_settings)
    since = utc_now()
    with pipeline(run_settings, with_worker=with_worker, report=_report) as line:
        with _progress() as show:
            scope, new = _register(line, folders, run_settings, show)
            line.drain(scope, lambda unfinished: show(None, unfinished))
        line.stop_worker()
        remarks = [remark for folder in folders for remark in _remarks(folder)]
        summary = summarise(line.database, scope, new=new, since=since, settings=run_settings, remarks=remarks)
        answer(summary, line.database)
    return summary


def _register(
    line: Pipeline, folders: Sequence[Folder], settings: Settings, show: Callable[[int | None, int | None], None]
) -> tuple[queries.ArrivalScope, int]:
    """Register all files, and dispatch after each chunk so that workers do not wait for the last file."""
    source_ids: list[int] = []
    image_ids: list[int] = []
    new = 0

    def registered(arrivals: int) -> None:
        nonlocal new
        new += arrivals
        show(new, None)
        line.dispatch()

    for folder in folders:
        intake = Intake(settings, line.database, folder, registered)
        intake.register_all()
        if folder.only is None:
            source_ids.append(intake.source_id)
        else:
            image_ids.extend(queries.newest_at(line.database, intake.source_id, [folder.only]))
    return queries.ArrivalScope(source_ids=tuple(source_ids), image_ids=tuple(image_ids)), new


def _remarks(folder: Folder) -> Iterator[str]:
    """Yield a sentence for each kind of file that the scan skipped; the database has no row of skipped files."""
    report = folder.report
    for number, what, hint in (
        (report.temporary, "hidden or temporary file", ": a file is analysed when it has its final name"),
        (report.hidden_folders, "hidden folder", ""),
        (report.special, "pipe, socket or other special file", ""),
        (report.unreadable_folders, "unreadable folder", ": check the permissions"),
        (report.unreadable_names, "unreadable file", ": check the permissions"),
    ):
        if number:
            yield f"Skipped {counted(number, what)}{hint}."


def _require_model(settings: Settings) -> None:
    from models.catalogue import find_bundle  # noqa: PLC0415 - other commands start without this import

    find_bundle(settings.model or "", settings.bundle_folders)


@contextmanager
def _progress() -> Iterator[Callable[[int | None, int | None], None]]:
    """Show a progress bar; the yielded function takes the number of new files and the number of unfinished files."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        total = 0

        def show(new: int | None, unfinished: int | None) -> None:
            nonlocal total
            total = new or total
            if unfinished is None:
                bar.update(task, description="registering", total=total)
            else:
                total = max(total, unfinished)
                bar.update(task, description="analysing", total=total, completed=total - unfinished)

        yield show


def _report(event: str) -> None:
    err.print(event, markup=False)
