"""Define `nightread cancel`: cancel waiting images before a worker begins with them."""

from dataclasses import dataclass, replace
from typing import Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.inputs.waiting_study import WAITING, waiting_study
from cli.output.console import err, out, print_json
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from db.queries import ImageFilter
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings

_IDS_SHOWN = 5


@click.command("cancel")
@click.argument("image_ids", nargs=-1, type=int, metavar="[IMAGE_ID]...")
@click.option("--study", metavar="UID", help="Only images of the study with this Study Instance UID.")
@click.option("--source", "sources", multiple=True, help="Only images of this source.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; do not ask for confirmation.")
@state_options
def cancel_command(
    image_ids: tuple[int, ...],
    study: str | None,
    sources: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Cancel waiting images before a worker begins with them.

    The images are rejected with the reason `cancelled`; `nightread retry` lets them be analysed after all. If a worker
    has begun with an image, it finishes the image. Images that arrive later are analysed.

    --study reads the headers of the waiting files. For waiting archives, images in an Orthanc store and files whose
    header cannot be read, nightread does not know yet to which study they belong: they are not cancelled, and --study
    prints how many there are.

    \b
    Examples: nightread cancel 4711 4712
              nightread cancel --study 1.2.826.0.1.3680043.8.498.1 --dry-run
              nightread cancel --source ct1 --yes
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if not (image_ids or study or sources):
        raise UsageFault("Name the images: give ids, --study or --source. `nightread query` lists the ids.")
    if image_ids and study:
        raise UsageFault("Give ids or --study, not both.")
    with open_existing_database(settings) as database, one_line_errors():
        plan = _plan(database, settings, ImageFilter(image_ids=image_ids, sources=sources), study)
        if not as_json:
            _show(plan)
        cancelled: list[int] = []
        if plan.waiting and not dry_run:
            if not (yes or as_json):
                click.confirm(f"Cancel {counted(len(plan.waiting), 'image')}?", abort=True, err=True)
            cancelled = ledger.cancel(database, plan.waiting, actor=user_name(), now=utc_now())
    if as_json:
        print_json({**plan.to_json(), "dry_run": dry_run, "cancelled": cancelled})
    elif dry_run:
        out.print("Nothing was changed: this was a dry run.")
    elif plan.waiting:
        _show_cancelled(cancelled, plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """The images that match or were named, grouped by what happens to them."""

    waiting: list[int]
    running: list[int]
    """Images that are not cancelled, because a worker has begun with them."""
    others: list[int]
    """Images named by id that do not match --source, have an outcome already, or are not in the database."""
    unknown: list[int]
    """Images that are not cancelled, because their study is not known before they are read."""

    def to_json(self) -> dict[str, Any]:
        """Return the object for `--json`; its names are stable."""
        return {"waiting": self.waiting, "running": self.running, "others": self.others, "unknown": self.unknown}


def _plan(database: Database, settings: Settings, wanted: ImageFilter, study: str | None) -> _Plan:
    if study is not None:
        found = waiting_study(database, settings, study, wanted.sources, err)
        return _Plan(waiting=found.image_ids, running=[], others=[], unknown=found.unknown)
    waiting = queries.image_ids(database, replace(wanted, states=WAITING))
    running = queries.image_ids(database, replace(wanted, states=("running",)))
    others = sorted(set(wanted.image_ids) - set(waiting) - set(running))
    return _Plan(waiting=waiting, running=running, others=others, unknown=[])


def _show(plan: _Plan) -> None:
    number = counted(len(plan.waiting), "waiting image matches", "waiting images match")
    out.print(f"{number}{_first_ids(plan.waiting)}." if plan.waiting else "No waiting image matches.")
    for image_ids, cause in (
        (plan.running, "a worker has begun"),
        (plan.others, "has an outcome, does not match, or is not in the database"),
        (plan.unknown, "the study is not known before the image is read; give the image id"),
    ):
        if image_ids:
            out.print(f"{counted(len(image_ids), 'image')} not cancelled{_first_ids(image_ids)}: {cause}.")


def _show_cancelled(cancelled: list[int], plan: _Plan) -> None:
    number = counted(len(cancelled), "image is", "images are")
    out.print(f"{number} rejected (cancelled). `nightread retry --reason cancelled` retries all cancelled images.")
    if begun := len(plan.waiting) - len(cancelled):
        out.print(f"{counted(begun, 'image')} not cancelled: a worker has begun meanwhile.")


def _first_ids(image_ids: list[int]) -> str:
    first = ", ".join(str(image_id) for image_id in image_ids[:_IDS_SHOWN])
    return f" ({first if len(image_ids) <= _IDS_SHOWN else f'{first}, ...'})"
