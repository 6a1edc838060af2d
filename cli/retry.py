"""Define `nightread retry`: analyse failed and rejected images again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from api.retriable_files import is_file_gone
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.output.tables import SENTENCES, make_table, show
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from db.queries import ImageFilter, Retriable
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS

_MANY: dict[str, Any] = {"multiple": True}
_IDS_SHOWN = 5
_SAME_AGAIN = "Images that are defective will be rejected again."


@click.command("retry")
@click.argument("image_ids", nargs=-1, type=int, metavar="[IMAGE_ID]...")
@click.option("--failed", is_flag=True, help="Retry all failed images.")
@click.option(
    "--reason",
    "reasons",
    type=click.Choice([reason.value for reason in Reason]),
    metavar="REASON",
    help="Retry all images that failed or were rejected for this reason.",
    **_MANY,
)
@click.option("--source", "sources", help="Only images of this source.", **_MANY)
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only images that arrived at or after this time (local time of the site): 2026-11-05 or 2026-11-05T18:00.",
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Only images that arrived before this time.")
@click.option("--night", metavar="DATE|last", help="Only images that arrived in the night that began on this date.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; do not ask for confirmation.")
@state_options
def retry_command(image_ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Analyse failed and rejected images again.

    Attempts are counted from zero again. The audit table keeps the earlier reasons. Conditions can be combined and mean
    the same as in `nightread query`. The original files are read again from their sources.

    Series of which no result could be formed are formed again if --failed, --reason or the id of one of their images
    chooses them, unless --source is given. For series, --since, --until and --night mean the time of the latest slice
    or attempt.

    \b
    Examples: nightread retry 4711 4712
              nightread retry --failed --night last --dry-run
              nightread retry --reason no_model --yes
              nightread retry --reason series_not_formed
    """  # noqa: D301 - click reads the backspace itself
    settings, wanted = _wanted(image_ids, options)
    with open_existing_database(settings) as database, one_line_errors():
        plan = _plan(queries.retriable(database, wanted), settings, image_ids, _failed_series(database, wanted))
        if not as_json:
            _show(plan)
        again = series = 0
        if (plan.again or plan.series) and not dry_run:
            if not (yes or as_json):
                click.confirm(f"{plan.question}?", abort=True, err=True)
            again = ledger.retry(database, plan.again, actor=user_name(), now=utc_now())
            series = ledger.retry_series(database, plan.series, actor=user_name(), now=utc_now())
    if as_json:
        print_json({**plan.to_json(), "dry_run": dry_run, "retried": again, "series_retried": series})
    elif dry_run:
        out.print("Nothing was changed: this was a dry run.")
    elif again or series:
        number = (
            counted(again, "image is", "images are") if again else f"{series:,} series {'is' if series == 1 else 'are'}"
        )
        what = "analysed" if again else "formed"
        out.print(f"{number} waiting to be {what} by a running `nightread up` or `nightread worker`.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """The images that a retry would change or skip."""

    again: list[int]
    by_reason: Counter[tuple[str, str]]
    """Number of images that would be analysed again, by (state, reason)."""
    replaced: list[int]
    """Images that are skipped, because a newer file at the same path has its own arrival."""
    purged: list[int]
    """Images that are skipped, because nightread removed the received file some days after the outcome."""
    file_gone: list[int]
    """Images that would be analysed again, and would fail because the file is missing."""
    copies_done: list[int]
    """Images that would be recorded as duplicates of images that are done, if their file has not changed."""
    not_retriable: list[int]
    """Images named by id that are not in the database, or are neither failed nor rejected."""
    series: list[int]
    """Ids of series without a result that would be formed again."""

    @property
    def question(self) -> str:
        """Return the question to confirm, without the question mark."""
        images = f"Analyse {counted(len(self.again), 'image')}" if self.again else ""
        series = f"{'form' if self.again else 'Form'} {len(self.series):,} series" if self.series else ""
        return " and ".join(filter(None, (images, series))) + " again"

    def to_json(self) -> dict[str, Any]:
        """Return the object for `--json`; its names are stable."""
        return {
            "images": len(self.again),
            "image_ids": self.again,
            "reasons": [
                {"state": state, "reason": reason, "images": images}
                for (state, reason), images in self.by_reason.most_common()
            ],
            "replaced": self.replaced,
            "purged": self.purged,
            "file_gone": self.file_gone,
            "copies_done": self.copies_done,
            "not_retriable": self.not_retriable,
            "series": len(self.series),
        }


def _wanted(image_ids: tuple[int, ...], options: dict[str, Any]) -> tuple[Settings, ImageFilter]:
    given = {name: options.pop(name) for name in ("config", "state_dir", "database_url", "redis_url")}
    settings = settings_from(**given)
    since, until = arrival_bounds(settings, options.pop("since"), options.pop("until"), options.pop("night"))
    failed = options.pop("failed")
    if not (image_ids or failed or options["reasons"]):
        raise UsageFault(
            "Name the images: give ids, --failed, or --reason REASON. `nightread status` lists the reasons."
        )
    states = ("failed",) if failed else ("failed", "rejected")
    return settings, ImageFilter(image_ids=image_ids, states=states, since=since, until=until, **options)


def _failed_series(database: Database, wanted: ImageFilter) -> list[int]:
    """Return the ids of the series that match the conditions of the command and of which no result could be formed."""
    if wanted.sources:
        return []
    found = queries.retriable_series(
        database, since=wanted.since, until=wanted.until, reasons=wanted.reasons, image_ids=wanted.image_ids
    )
    return [each.id for each in found]


def _plan(found: Iterable[Retriable], settings: Settings, named: tuple[int, ...], series: list[int]) -> _Plan:
    plan = _Plan(
        again=[],
        by_reason=Counter(),
        replaced=[],
        purged=[],
        file_gone=[],
        copies_done=[],
        not_retriable=[],
        series=series,
    )
    found_ids = set()
    for image in found:
        found_ids.add(image.image_id)
        if image.replaced:
            plan.replaced.append(image.image_id)
            continue
        gone = is_file_gone(image, settings)
        if gone and image.kind in SPOOLED_KINDS:
            plan.purged.append(image.image_id)
            continue
        plan.again.append(image.image_id)
        plan.by_reason[image.state, image.reason] += 1
        if image.copy_is_done:
            plan.copies_done.append(image.image_id)
        if gone:
            plan.file_gone.append(image.image_id)
    plan.not_retriable.extend(sorted(set(named) - found_ids))
    return plan


def _show(plan: _Plan) -> None:
    if plan.by_reason:
        table = make_table(out, "images", "outcome", "reason", "meaning", right=["images"])
        for (state, reason), images in plan.by_reason.most_common():
            table.add_row(f"{images:,}", state, reason, Text(SENTENCES.get(reason, ""), style="dim"))
        show(out, table)
        if any(state == "rejected" for state, _ in plan.by_reason):
            out.print(_SAME_AGAIN)
    else:
        out.print("No failed or rejected image matches.")
    if plan.series:
        out.print(f"{len(plan.series):,} series without a result will be formed again.")
    for image_ids, effect, cause in (
        (plan.file_gone, "will fail again", "the file is missing from its folder"),
        (plan.copies_done, "will be recorded as duplicate", "an image with the same bytes is done"),
        (plan.purged, "skipped", "the file is no longer in the spool; send it again, or take it out of its archive"),
        (plan.replaced, "skipped", "a newer file at the same path is registered as its own image"),
        (plan.not_retriable, "not analysed again", "not in the database, or neither failed nor rejected"),
    ):
        if image_ids:
            out.print(f"{counted(len(image_ids), 'image')} {effect} ({_first_ids(image_ids)}): {cause}.")


def _first_ids(image_ids: list[int]) -> str:
    first = ", ".join(str(image_id) for image_id in image_ids[:_IDS_SHOWN])
    return first if len(image_ids) <= _IDS_SHOWN else f"{first}, ..."
