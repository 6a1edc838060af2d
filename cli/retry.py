"""`nightread retry`: images that failed or were rejected, tried again because a person says so."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from cli.audits.spool_audit import KINDS as SPOOLED
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.output.tables import SENTENCES, make_table, show
from db import ledger, queries
from db.queries import ImageFilter, Retriable
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.paths import path_of, root_path
from nightread.reasons import Reason
from nightread.settings import Settings

_MANY: dict[str, Any] = {"multiple": True}
_NAMED = 5
_SAME_AGAIN = "An image that is at fault will end the same way again."


@click.command("retry")
@click.argument("image_ids", nargs=-1, type=int, metavar="[IMAGE_ID]...")
@click.option("--failed", is_flag=True, help="All that failed.")
@click.option(
    "--reason",
    "reasons",
    type=click.Choice([reason.value for reason in Reason]),
    metavar="REASON",
    help="All that failed or were rejected for this reason.",
    **_MANY,
)
@click.option("--source", "sources", help="Only those of this source.", **_MANY)
@click.option(
    "--since", type=MOMENT, metavar="TIME", help="Arrived then or later: 2026-11-05 or 2026-11-05T18:00, site-local."
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Arrived before.")
@click.option("--night", metavar="DATE|last", help="Arrived in the night that began on this date.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output; does not ask.")
@state_options
def retry_command(image_ids: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Try failed and rejected images again.

    Their attempts start at zero, and the reasons that they had stay in the record's audit. Conditions may be combined
    and mean what they mean in `nightread query`. Originals are read again from where they lie.

    \b
    Examples: nightread retry 4711 4712
              nightread retry --failed --night last --dry-run
              nightread retry --reason no_model --yes
    """  # noqa: D301 - click reads the backspace itself
    settings, wanted = _wanted(image_ids, options)
    with open_existing_database(settings) as database, one_line_errors():
        plan = _plan(queries.retriable(database, wanted), settings, image_ids)
        if not as_json:
            _show(plan)
        again = 0
        if plan.again and not dry_run:
            if not (yes or as_json):
                click.confirm(f"Try {_images(len(plan.again))} again?", abort=True, err=True)
            again = ledger.retry(database, plan.again, actor=user_name(), now=utc_now())
    if as_json:
        print_json({**plan.to_json(), "dry_run": dry_run, "retried": again})
    elif dry_run:
        out.print("Nothing was changed: this was a dry run.")
    elif again:
        out.print(f"{_images(again)} wait to be analysed: a running `nightread up` or worker takes them up.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What a retry would do."""

    again: list[int]
    by_reason: Counter[tuple[str, str]]
    """(state, reason) -> images that would be tried again."""
    replaced: list[int]
    """Left alone: a newer file lies at their place and has an arrival of its own."""
    purged: list[int]
    """Left alone: nightread itself removed the received file, some days after the outcome."""
    file_gone: list[int]
    """Would be tried, and fail for want of their file."""
    copies_done: list[int]
    """Would end as duplicates, as far as their file is what it was."""
    not_retriable: list[int]
    """Named, but neither failed nor rejected, or not in the record."""

    def to_json(self) -> dict[str, Any]:
        """Stable names for programs."""
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
        }


def _wanted(image_ids: tuple[int, ...], options: dict[str, Any]) -> tuple[Settings, ImageFilter]:
    given = {name: options.pop(name) for name in ("config", "state_dir", "database_url", "redis_url")}
    settings = settings_from(**given)
    since, until = arrival_bounds(settings, options.pop("since"), options.pop("until"), options.pop("night"))
    failed = options.pop("failed")
    if not (image_ids or failed or options["reasons"]):
        raise UsageFault(
            "Say which images: their ids, --failed, or --reason REASON. `nightread status` counts reasons."
        )
    states = ("failed",) if failed else ("failed", "rejected")
    return settings, ImageFilter(image_ids=image_ids, states=states, since=since, until=until, **options)


def _plan(found: Iterable[Retriable], settings: Settings, named: tuple[int, ...]) -> _Plan:
    plan = _Plan(again=[], by_reason=Counter(), replaced=[], purged=[], file_gone=[], copies_done=[], not_retriable=[])
    met = set()
    for image in found:
        met.add(image.image_id)
        if image.replaced:
            plan.replaced.append(image.image_id)
            continue
        gone = _is_gone(image, settings)
        if gone and image.kind in SPOOLED:
            plan.purged.append(image.image_id)
            continue
        plan.again.append(image.image_id)
        plan.by_reason[image.state, image.reason] += 1
        if image.copy_is_done:
            plan.copies_done.append(image.image_id)
        if gone:
            plan.file_gone.append(image.image_id)
    plan.not_retriable.extend(sorted(set(named) - met))
    return plan


def _is_gone(image: Retriable, settings: Settings) -> bool:
    """Whether the folder is on this machine and the file is not in it."""
    root = settings.roots.get(image.source) or root_path(image.root)
    return image.kind in ("folder", *SPOOLED) and root.is_dir() and not os.path.lexists(path_of(root, image.uri))


def _show(plan: _Plan) -> None:
    if plan.by_reason:
        table = make_table(out, "images", "outcome", "reason", "", right=["images"])
        for (state, reason), images in plan.by_reason.most_common():
            table.add_row(f"{images:,}", state, reason, Text(SENTENCES.get(reason, ""), style="dim"))
        show(out, table)
        if any(state == "rejected" for state, _ in plan.by_reason):
            out.print(_SAME_AGAIN)
    else:
        out.print("No failed or rejected image answers to this.")
    for image_ids, what in (
        (plan.file_gone, "will fail again: the file is gone from its folder"),
        (plan.copies_done, "will end as duplicate: an image with the same bytes is done"),
        (plan.purged, "left alone: the received file was removed in its time (spool_keep_failed_days): send it again"),
        (plan.replaced, "left alone: a newer file lies at the same place and is an arrival of its own"),
        (plan.not_retriable, "left alone: not in the record, or neither failed nor rejected"),
    ):
        if image_ids:
            out.print(f"{_images(len(image_ids))} {what} ({_some(image_ids)}).")


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"


def _some(image_ids: list[int]) -> str:
    named = ", ".join(str(image_id) for image_id in image_ids[:_NAMED])
    return named if len(image_ids) <= _NAMED else f"{named}, ..."
