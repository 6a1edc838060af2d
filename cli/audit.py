"""`nightread audit`: does the record hold together, and does it match what lies in the folders?"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.text import Text

from cli.audits.folder_audit import OVERLOOKED, FolderFindings, compare
from cli.audits.queue_audit import FOREIGN, QueueFindings, compare_queue
from cli.audits.spool_audit import KINDS as SPOOLED
from cli.audits.spool_audit import compare_spool
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.console import out, print_json
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.settings import Settings

_SHOWN = 20


@click.command("audit")
@click.option("--no-folders", is_flag=True, help="Leave the folders of the sources alone.")
@click.option("--no-queue", is_flag=True, help="Leave Redis alone.")
@click.option("--all", "show_all", is_flag=True, help=f"Every finding, not the first {_SHOWN} of each kind.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
@state_options
def audit_command(no_folders: bool, no_queue: bool, show_all: bool, as_json: bool, **options: Any) -> None:
    """Check that the counts add up.

    By a walk of its own: counts, first rows, predictions, duplicates, contents, batches; then the folders and the
    queue. A file that its watcher should have seen and that has no row does not hold; other files without a row, and
    rows whose file is gone, are listed for information. Exit code 1: something does not hold.

    \b
    Examples: nightread audit
              nightread audit --no-folders --json
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        broken = _by_rule(queries.violations(database))
        folders = [] if no_folders else [_look(database, source, settings) for source in queries.sources(database)]
        queue = None if no_queue else compare_queue(database, settings, utc_now())
    holds = not (broken or any(findings.overlooked for findings in folders) or (queue and queue.foreign))
    if as_json:
        rules = [{"rule": rule, "image_ids": image_ids} for rule, image_ids in broken.items()]
        looks = {"folders": [findings.to_json() for findings in folders], "queue": queue.to_json() if queue else None}
        print_json({"holds": holds, "violations": rules, **looks})
    else:
        limit = None if show_all else _SHOWN
        _show_rules(broken, limit)
        for findings in folders:
            _show_folder(findings, limit)
        if queue:
            _show_queue(queue, limit)
    sys.exit(0 if holds else 1)


def _look(database: Database, source: queries.Source, settings: Settings) -> FolderFindings:
    look = compare_spool if source.kind in SPOOLED else compare
    return look(database, source, settings)


def _by_rule(violations: Iterable[queries.Violation]) -> dict[str, list[int]]:
    """Image ids by the rule they break; none where the rule is about the whole record."""
    broken: defaultdict[str, list[int]] = defaultdict(list)
    for violation in violations:
        broken[violation.rule] += [] if violation.image_id is None else [violation.image_id]
    return broken


def _show_rules(broken: dict[str, list[int]], limit: int | None) -> None:
    for rule, image_ids in broken.items():
        out.print(Text.assemble(("broken: ", "bold red"), rule))
        _show_some([f"image {image_id}" for image_id in image_ids], limit)
    if not broken:
        out.print(Text(f"The record holds together: {len(queries.RULES)} rules checked.", style="green"))


def _show_folder(findings: FolderFindings, limit: int | None) -> None:
    out.print(Text.assemble(("source ", "bold"), findings.source, f": {findings.summary}"))
    if findings.overlooked:
        out.print(Text.assemble(("broken: ", "bold red"), OVERLOOKED))
        _show_some(list(findings.overlooked), limit)
    _show_some([f"no row: {path}" for path in findings.without_row], limit)
    _show_some([f"file gone: image {image_id}, {path}" for image_id, path in findings.gone], limit)


def _show_queue(findings: QueueFindings, limit: int | None) -> None:
    out.print(Text.assemble(("queue", "bold"), f": {findings.summary}"))
    if findings.foreign:
        out.print(Text.assemble(("broken: ", "bold red"), FOREIGN))
        _show_some([f"task {task_id}" for task_id in findings.foreign], limit)
    _show_some([f"no message: batch {batch_id}" for batch_id in findings.without_message], limit)


def _show_some(lines: Sequence[str], limit: int | None) -> None:
    shown = lines if limit is None else lines[:limit]
    for line in shown:
        out.print(Text(f"  {line}"))
    if len(lines) > len(shown):
        out.print(f"  ... and {len(lines) - len(shown):,} more: --all lists them.")
