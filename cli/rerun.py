"""Define `nightread rerun`: analyse images again with other models, and keep their present results."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import click

from cli.filters import chosen_images, with_filters
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import state_options
from cli.inputs.user import user_name
from cli.models.register import register_bundle
from cli.output.console import err, out, print_json
from cli.output.tables import SENTENCES, make_table, show
from cli.reruns.selection import WHY, Selection, select_images
from cli.reruns.waiting import analyse_here, is_served, require_no_waiting_arrivals, wait_for_workers
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from db.ledger import RerunPlan
from db.queries import RerunCount
from db.queries.bundles import bundles_by_id
from models.bundle import Bundle
from models.catalogue import find_bundle
from nightread.clock import utc_now
from nightread.log import set_up_logging
from nightread.settings import Settings

_IDS_SHOWN = 5
_FAILED = "failed"


@with_filters
@click.command("rerun")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="NAME[@VERSION]",
    help="The model that analyses the images again; repeatable: each image is read once for all models.",
)
@click.option("--shadow", is_flag=True, help="Store shadow results: shown only on request, and in no report.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this number of images.")
@click.option("--dry-run", is_flag=True, help="Show which images would be analysed or left out; change nothing.")
@click.option("--no-wait", is_flag=True, help="Return at once: running workers analyse the images.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of worker processes, if this command starts them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def rerun_command(
    models: tuple[str, ...],
    shadow: bool,
    limit: int | None,
    dry_run: bool,
    no_wait: bool,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Analyse images again with other models, and keep their present results.

    The new results are stored in addition; the present result of an image never changes. New arrivals go first. Only
    images whose original still exists are analysed; other images are listed with the reason. After Ctrl-C or a crash,
    or when a missing file is back, run the same command again: it analyses only what is missing.

    Running workers analyse the images. If nothing runs for this state folder, this command starts workers.

    Exit code 0: no analysis failed; 1: an analysis failed; 2: wrong usage.

    \b
    Examples: nightread rerun --model chest@2.1 --night last --shadow
              nightread rerun --model chest@2.1 --model chest@2.2 --since 2026-11-01 --modality CR --dry-run
              nightread compare chest@2.0 chest@2.1 --night last
    """  # noqa: D301 - click reads the backspace itself
    chosen = chosen_images(options)
    settings = chosen.settings.model_copy(update={} if workers is None else {"workers": workers})
    set_up_logging(settings.log_format, "WARNING")
    bundles = list(
        {each.digest: each for each in (find_bundle(name, settings.bundle_folders) for name in models)}.values()
    )
    with open_existing_database(settings) as database, one_line_errors():
        wanted = replace(chosen.filter(database, _tell), limit=limit)
        selection = select_images(database, settings, wanted)
        if dry_run:
            plan = ledger.preview_rerun(database, selection.image_ids, _known_ids(database, bundles))
            _show_plan(bundles, selection, plan, as_json=as_json, dry_run=True)
            return
        served = is_served(settings)
        if not (served or no_wait):
            require_no_waiting_arrivals(database, settings)
        ids = [register_bundle(database, bundle) for bundle in bundles]
        actor, now = user_name(), utc_now()
        plan = ledger.plan_rerun(database, selection.image_ids, ids, shadow=shadow, actor=actor, now=now)
    if not as_json:
        _show_plan(bundles, selection, plan)
    if not no_wait and plan.unfinished:
        _analyse(settings, ids, plan.unfinished, served=served)
    with open_existing_database(settings) as database, one_line_errors():
        counts = queries.rerun_counts(database, selection.image_ids, ids)
    _show_results(bundles, selection, plan, counts, as_json=as_json)
    sys.exit(any(count.state == _FAILED for count in counts))


def _analyse(settings: Settings, bundle_ids: list[int], total: int, *, served: bool) -> None:
    try:
        if not served:
            analyse_here(settings, bundle_ids, total)
            return
        with open_existing_database(settings) as database, one_line_errors():
            wait_for_workers(database, settings, bundle_ids, total)
    except KeyboardInterrupt:
        err.print("Stopped. Nothing is lost: run the same command again to continue.")
        raise


def _known_ids(database: Database, bundles: Sequence[Bundle]) -> list[int]:
    """Return the ids of the bundles; a bundle that the database does not know yet gets a negative id."""
    with database.read() as connection:
        known = {each.digest: bundle_id for bundle_id, each in bundles_by_id(connection).items()}
    return [known.get(bundle.digest, -1 - number) for number, bundle in enumerate(bundles)]


def _show_plan(
    bundles: Sequence[Bundle], selection: Selection, plan: RerunPlan, *, as_json: bool = False, dry_run: bool = False
) -> None:
    if as_json:
        print_json(_as_json(bundles, selection, plan) | {"dry_run": dry_run})
        return
    names = ", ".join(bundle.reference for bundle in bundles)
    out.print(f"{counted(len(selection.image_ids), 'image')} for {names}:")
    table = make_table(out, "results", "", right=["results"], show_header=False)
    for number, what in (
        (plan.added, "new"),
        (plan.again, "failed before: analysed again"),
        (plan.waiting, "waiting since an earlier re-run"),
        (plan.present, "present already"),
    ):
        if number:
            table.add_row(f"{number:,}", what)
    show(out, table)
    if selection.left_out:
        _show_left_out(selection)
    if selection.unchecked:
        out.print(
            f"{counted(selection.unchecked, 'original')} not on this host: a worker checks whether the file exists."
        )
    if dry_run:
        out.print("Nothing was changed: this was a dry run.")


def _show_left_out(selection: Selection) -> None:
    table = make_table(out, "left out", "images", "why", "ids", right=["images"])
    for reason, images in selection.reasons.most_common():
        ids = [str(image_id) for image_id, its_reason in selection.left_out if its_reason == reason]
        first = ", ".join(ids[:_IDS_SHOWN]) + (", ..." if len(ids) > _IDS_SHOWN else "")
        table.add_row(reason, f"{images:,}", WHY[reason], first)
    show(out, table)


def _show_results(
    bundles: Sequence[Bundle], selection: Selection, plan: RerunPlan, counts: Sequence[RerunCount], *, as_json: bool
) -> None:
    if as_json:
        print_json({**_as_json(bundles, selection, plan), "results": [asdict(count) for count in counts]})
        return
    table = make_table(out, "model", "state", "reason", "images", "", right=["images"])
    for count in counts:
        reason = count.reason or ""
        table.add_row(count.model, count.state, reason, f"{count.images:,}", SENTENCES.get(reason, ""))
    if counts:
        show(out, table)


def _as_json(bundles: Sequence[Bundle], selection: Selection, plan: RerunPlan) -> dict[str, Any]:
    return {"models": [bundle.reference for bundle in bundles], **selection.to_json(), **asdict(plan)}


def _tell(note: str) -> None:
    err.print(note, markup=False, style="yellow")
