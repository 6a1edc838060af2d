"""Define `nightread status`: show counts, reasons, speed, expected end, sources and workers."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from api.pause_lines import paused_lines
from api.postponed_lines import postponed_lines
from api.status import Status, take_condition, take_status
from api.worker_models import worker_model_warnings
from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.condition_lines import check_line, forecast_line, forecast_style, problem_lines, waiting_line
from cli.output.conflict_lines import conflicts_line
from cli.output.console import cell, out, print_json
from cli.output.tables import make_table, show, tally_table
from cli.reruns.status_line import rerun_line
from cli.series import series_lines
from cli.studies import study_lines
from db import queries
from db.condition import Level, headline, remedies
from db.condition.source_problems import source_problems
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.nights import Nights, nights_of
from nightread.settings import Settings
from nightread.wording import counted, duration

_REFRESH_SECONDS = 2.0


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds until Ctrl-C.")
@click.option(
    "--check",
    is_flag=True,
    help="Print one line; exit code 0: fine, 1: late or degraded, 2: stopped or lost. For cron and Nagios.",
)
@state_options
def status_command(*, as_json: bool, watch: bool, check: bool, **options: Any) -> None:
    """Show what does not work, counts, speed, expected end, sources and workers.

    The first line names each part that is silent, or says that all parts work.

    \b
    Examples: nightread status
              nightread status --watch
              nightread status --check || mail -s nightread me@example.org
              nightread status --json | jq .eta_seconds
    """  # noqa: D301 - click reads the backspace itself
    chosen = [name for name, given in (("--json", as_json), ("--watch", watch), ("--check", check)) if given]
    if len(chosen) > 1:
        raise UsageFault(f"{chosen[0]} and {chosen[1]} cannot be combined: omit one of them.")
    settings = settings_from(**options)
    nights = nights_of(settings)
    if check:
        sys.exit(_check(settings, nights))
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        if watch:
            _watch(database, settings, nights)
        elif as_json:
            print_json(take_status(database, settings, nights, utc_now()).to_json(settings))
        else:
            show(out, _as_text(take_status(database, settings, nights, utc_now()), settings, nights))


def _check(settings: Settings, nights: Nights) -> int:
    """Print the condition of nightread in one line, and return the exit code.

    If the condition cannot be read, the line says STOPPED.
    """
    try:
        with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
            condition = take_condition(database, settings, nights, utc_now())
    except (StopWork, UsageFault) as error:
        out.print(f"{Level.STOPPED.name}: {error}")
        return Level.STOPPED.exit_code
    out.print(check_line(condition, headline(condition), nights))
    return condition.level.exit_code


def _watch(database: Database, settings: Settings, nights: Nights) -> None:
    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            status = take_status(database, settings, nights, utc_now())
            live.update(_as_text(status, settings, nights), refresh=True)
            time.sleep(_REFRESH_SECONDS)


def _as_text(status: Status, settings: Settings, nights: Nights) -> RenderableType:
    first = headline(status.condition)
    head = [
        Text(first, style="green" if status.condition.level is Level.OK else "bold red"),
        *(Text(line) for line in remedies(status.condition)),
    ]
    paused = [Text(line, style="bold red") for line in paused_lines(status.pauses, settings, nights)]
    tally = tally_table(out, status.tally, status.reasons, status.image_remarks)
    parts = [*head, tally, *paused, *_lines(status, first, nights)]
    if status.workers:
        parts.append(_workers(status.workers))
    return Group(*(cell(part) if isinstance(part, Text) else part for part in parts))


def _lines(status: Status, first: str, nights: Nights) -> list[RenderableType]:
    condition = status.condition
    lines: list[RenderableType] = [Text(forecast_line(condition, nights), style=forecast_style(condition))]
    if waiting := waiting_line(condition, nights):
        lines.append(Text(waiting))
    lines.extend(Text(line, style="yellow") for line in problem_lines(condition, first))
    lines.extend(Text(line, style="cyan") for line in postponed_lines(status.postponed, status.at, nights))
    if status.oldest_waiting_seconds is not None:
        lines.append(Text(f"The oldest waiting image arrived {duration(status.oldest_waiting_seconds)} ago."))
    if status.batches_published or status.batches_claimed:
        lines.append(Text(f"Batches: {status.batches_published} published, {status.batches_claimed} being analysed."))
    lines.extend(Text(line, style=style) for line, style in study_lines(status.studies, status.withdrawn))
    lines.extend(Text(line, style=style) for line, style in series_lines(status.series))
    lines.extend(Text(rerun_line(each)) for each in status.reruns)
    if status.conflicts:
        lines.append(Text(conflicts_line(status.conflicts), style="bold yellow"))
    if status.replaced:
        lines.append(Text(_replaced_line(status.replaced)))
    if not any(worker.alive for worker in status.workers):
        lines.append(_no_worker(status))
    lines.extend(Text(warning, style="yellow") for warning in worker_model_warnings(status.workers, status.rules))
    if status.disk.is_low:
        lines.append(Text(status.disk.line, style="yellow"))
    for source in status.sources:
        lines.extend(
            Text(f"Source {source.name}: {problem}{'' if problem.endswith('?') else '.'}", style="yellow")
            for problem in source_problems(source, status.at)
        )
    if not status.tally.adds_up:
        lines.append(Text("The counts do not add up: run `nightread audit`.", style="bold red"))
    return lines


def _replaced_line(number: int) -> str:
    were, stay = ("file was", "its result stays") if number == 1 else ("files were", "their results stay")
    return f"{number:,} {were} replaced by another file of the same name; {stay} (`nightread query --replaced`)."


def _no_worker(status: Status) -> Text:
    if status.tally.unfinished:
        return Text("No worker is running: start `nightread up` or `nightread worker`.", style="bold yellow")
    return Text("No worker is running.", style="dim")


def _workers(workers: Sequence[queries.Worker]) -> RenderableType:
    table = make_table(out, "worker", "processes", "device", "model", "last seen", right=["processes"])
    for worker in workers:
        ago = f"{duration(worker.heartbeat_seconds)} ago{_remark(worker)}"
        table.add_row(
            Text(worker.node),
            str(worker.slots),
            Text(worker.device),
            Text(worker.model or "by rules"),
            Text(ago, style="" if worker.alive else "red"),
        )
    return table


def _remark(worker: queries.Worker) -> str:
    if worker.draining:
        left = counted(worker.batches_left, "batch", "batches") if worker.batches_left else "no batch"
        return f" (drains, {left} left)"
    return "" if worker.alive else " (no heartbeat)"
