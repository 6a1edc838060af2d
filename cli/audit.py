"""Define `nightread audit`: check the database, and compare it with folders and queue."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.text import Text

from cli.audits.folder_audit import OVERLOOKED, FolderFindings, compare
from cli.audits.queue_audit import FOREIGN, QueueFindings, compare_queue
from cli.audits.spool_audit import compare_spool
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.conflict_lines import conflict_json, conflict_line, conflicts_line
from cli.output.console import out, print_json
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS

_SHOWN = 20


@click.command("audit")
@click.option("--no-folders", is_flag=True, help="Do not compare the database with the folders of the sources.")
@click.option("--no-queue", is_flag=True, help="Do not compare the database with the queue in Redis.")
@click.option("--all", "show_all", is_flag=True, help=f"List every finding, not only the first {_SHOWN} of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def audit_command(no_folders: bool, no_queue: bool, show_all: bool, as_json: bool, **options: Any) -> None:
    """Check the database, and compare it with folders and queue.

    The audit checks counts, rows of work, predictions, duplicates, contents, batches and series. Then it walks the
    folders and reads the queue. A file without a row is a violation if its watcher should have seen the file. Other
    files without a row, rows whose file is missing, and images in conflict are listed for information. Exit code 1: a
    rule is violated.

    \b
    Examples: nightread audit
              nightread audit --no-folders --json
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        broken = _by_rule(queries.violations(database))
        conflicts = list(queries.conflicting_images(database))
        folders = [] if no_folders else [_compare(database, source, settings) for source in queries.sources(database)]
        queue = None if no_queue else compare_queue(database, settings, utc_now())
    holds = not (broken or any(findings.overlooked for findings in folders) or (queue and queue.foreign))
    if as_json:
        rules = [{"rule": rule, "image_ids": image_ids} for rule, image_ids in broken.items()]
        findings_json = {
            "folders": [findings.to_json() for findings in folders],
            "queue": queue.to_json() if queue else None,
            "conflicts": [conflict_json(conflict) for conflict in conflicts],
        }
        print_json({"holds": holds, "violations": rules, **findings_json})
    else:
        limit = None if show_all else _SHOWN
        _show_rules(broken, limit)
        _show_conflicts(conflicts, limit)
        for findings in folders:
            _show_folder(findings, limit)
        if queue:
            _show_queue(queue, limit)
    sys.exit(0 if holds else 1)


def _compare(database: Database, source: queries.Source, settings: Settings) -> FolderFindings:
    compare_source = compare_spool if source.kind in SPOOLED_KINDS else compare
    return compare_source(database, source, settings)


def _by_rule(violations: Iterable[queries.Violation]) -> dict[str, list[int]]:
    """Group image ids by the rule that they violate; a rule about the whole database has no image ids."""
    broken: defaultdict[str, list[int]] = defaultdict(list)
    for violation in violations:
        broken[violation.rule] += [] if violation.image_id is None else [violation.image_id]
    return broken


def _show_rules(broken: dict[str, list[int]], limit: int | None) -> None:
    for rule, image_ids in broken.items():
        out.print(Text.assemble(("violated: ", "bold red"), rule))
        _show_some([f"image {image_id}" for image_id in image_ids], limit)
    if not broken:
        out.print(Text(f"The database is consistent: {len(queries.RULES)} rules checked.", style="green"))


def _show_conflicts(conflicts: Sequence[queries.ConflictingImage], limit: int | None) -> None:
    if conflicts:
        out.print(Text(conflicts_line(len(conflicts)), style="bold yellow"))
        _show_some([conflict_line(conflict) for conflict in conflicts], limit)


def _show_folder(findings: FolderFindings, limit: int | None) -> None:
    out.print(Text.assemble(("source ", "bold"), findings.source, f": {findings.summary}"))
    if findings.overlooked:
        out.print(Text.assemble(("violated: ", "bold red"), OVERLOOKED))
        _show_some(list(findings.overlooked), limit)
    _show_some([f"no row: {path}" for path in findings.without_row], limit)
    _show_some([f"file missing: image {image_id}, {path}" for image_id, path in findings.gone], limit)


def _show_queue(findings: QueueFindings, limit: int | None) -> None:
    out.print(Text.assemble(("queue", "bold"), f": {findings.summary}"))
    if findings.foreign:
        out.print(Text.assemble(("violated: ", "bold red"), FOREIGN))
        _show_some([f"task {task_id}" for task_id in findings.foreign], limit)
    _show_some([f"no message: batch {batch_id}" for batch_id in findings.without_message], limit)


def _show_some(lines: Sequence[str], limit: int | None) -> None:
    shown = lines if limit is None else lines[:limit]
    for line in shown:
        out.print(Text(f"  {line}"))
    if len(lines) > len(shown):
        out.print(f"  ... and {len(lines) - len(shown):,} more: use --all to list them.")
