"""Define `nightread drift`: show how images and results of a night differ from the reference of each model."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from api.export import export_rows
from api.pages.drift_page import drift_page, unjudged_note, verdict_of
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import err, out
from cli.output.tables import make_table, show
from cli.output.written_file import write_page
from cli.wording import counted
from db.drift.comparison import NightDrift, night_drift, refresh_night
from db.drift.references import reference_of_nights, set_reference, take_offered
from db.engine import Database
from db.queries.bundles import BundleLabels, bundles_by_id
from nightread.clock import utc_now
from nightread.drift.judgement import FEWEST_IMAGES, DriftComparison
from nightread.drift.reference import FIELDS
from nightread.errors import UsageFault
from nightread.nights import Nights, evening_named, nights_of

COLUMNS = (
    *("night", "model", "reference", "results", "all_images", *FIELDS, "is_new"),
    *("measure", "images", "distance", "limit", "p_value", "exceeds", "alarm", "is_judged"),
)
"""Stable column names, in this order."""
VALIDATION = "validation"
_COLOURS = {"late": "red", "unfinished": "yellow", "complete": "green", "empty": "dim"}


@click.command("drift")
@click.option(
    "--night", default="last", show_default=True, metavar="DATE|last", help="The night that began on this date."
)
@click.option("--model", metavar="NAME[@VERSION]", help="Only this model.")
@click.option("--all", "every", is_flag=True, help="Also show distances within their limits.")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@click.option(
    "--reference",
    metavar="FIRST..LAST|validation",
    help="Compare --model from now on with these nights, or with the validation data that its bundle describes.",
)
@state_options
def drift_command(
    night: str,
    model: str | None,
    every: bool,
    style: str,
    output: Path | None,
    reference: str | None,
    **options: Any,
) -> None:
    """Show how images and results of a night differ from the reference of each model.

    A distance compares two histograms: it is 0 if the shares of all bins are equal, and 1 if no bin is in common. The
    limit is chosen so that 99.5 % of nights drawn at random from the reference stay below it. `nightread watchdog`
    raises an alarm if a distance exceeds its limit in two successive nights, or reaches twice its limit in one night
    (docs/drift.md).

    \b
    Examples: nightread drift
              nightread drift --night 2026-11-05 --all
              nightread drift -o drift.html
              nightread drift --model chest@2.0 --reference 2026-11-01..2026-11-14
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    nights = nights_of(settings)
    evening = evening_named(night, nights)
    with open_existing_database(settings) as database, one_line_errors():
        chosen = _chosen(database, model)
        if reference is not None:
            _choose_reference(database, nights, chosen, reference)
        refresh_night(database, nights, evening)
        found = [each for each in night_drift(database, evening) if each.bundle in chosen.values()]
        if output is not None:
            write_page(drift_page(database, settings, nights, evening, found), output)
    if style != "table":
        export_rows(_rows(found), COLUMNS, style, None)
    elif output is None:
        _show(found, evening, every=every)


def _chosen(database: Database, model: str | None) -> dict[int, BundleLabels]:
    """Return the registered bundles by id: all, or those of the named model. Raises UsageFault for an unknown model."""
    with database.read() as connection:
        known = bundles_by_id(connection)
    if model is None:
        return known
    chosen = {which: each for which, each in known.items() if model in (each.name, f"{each.name}@{each.version}")}
    if not chosen:
        raise UsageFault(f"--model {model}: no worker has used this model; see `nightread models list`.")
    return chosen


def _choose_reference(database: Database, nights: Nights, chosen: Mapping[int, BundleLabels], wanted: str) -> None:
    """Set the reference of the model. Raises UsageFault if it does not exist, or has too few images."""
    if len(chosen) != 1:
        raise UsageFault("--reference concerns one model: name it with --model NAME@VERSION.")
    ((bundle_id, bundle),) = chosen.items()
    if wanted == VALIDATION:
        if not take_offered(database, bundle_id, actor=user_name(), now=utc_now()):
            raise UsageFault(
                f"The bundle {bundle.name}@{bundle.version} has no reference of its own, or no worker has loaded the "
                "bundle yet: choose nights, such as --reference 2026-11-01..2026-11-14."
            )
        return
    first, last = _span(wanted)
    reference = reference_of_nights(database, nights, bundle_id, first, last)
    if reference is None or reference.images < FEWEST_IMAGES:
        images = 0 if reference is None else reference.images
        raise UsageFault(
            f"--reference {wanted}: {counted(images, 'result')} of {bundle.name}@{bundle.version} in these nights, "
            f"and {FEWEST_IMAGES} are needed: choose other nights. Purged results do not count."
        )
    set_reference(database, bundle_id, reference, span=(first, last), actor=user_name(), now=utc_now())
    err.print(f"Reference of {bundle.name}@{bundle.version}: {counted(reference.images, 'image')} of {wanted}.")


def _span(wanted: str) -> tuple[date, date]:
    first, _, last = wanted.partition("..")
    try:
        span = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        span = None
    if span is None or span[0] > span[1]:
        raise UsageFault(f"--reference {wanted} is not valid: give two dates, such as 2026-11-01..2026-11-14.")
    return span


def _rows(found: Sequence[NightDrift]) -> Iterator[dict[str, Any]]:
    for drift in found:
        alarming = {each.key for each in drift.alarming}
        for each in drift.comparisons:
            fields = dict.fromkeys(FIELDS) if each.stratum is None else each.stratum._asdict()
            yield {
                "night": drift.evening.isoformat(),
                "model": drift.model,
                "reference": drift.reference.name if drift.reference else None,
                "results": drift.images,
                "all_images": each.stratum is None,
                **{name: value or None for name, value in fields.items()},
                "is_new": each.is_new,
                "measure": each.measure,
                "images": each.images,
                "distance": each.distance,
                "limit": each.limit,
                "p_value": each.p_value,
                "exceeds": each.exceeds,
                "alarm": each.key in alarming,
                "is_judged": each.is_judged,
            }


def _show(found: Sequence[NightDrift], evening: date, *, every: bool) -> None:
    if not found:
        out.print(f"No model has results in the night of {evening}.")
    for drift in found:
        word, verdict = verdict_of(drift)
        against = f", compared with the {drift.reference.name}" if drift.reference else ""
        out.print(Text.assemble(f"{drift.model}: ", (verdict, _COLOURS[word])), end="")
        out.print(f" ({counted(drift.images, 'result')}{against})", markup=False)
        if drift.reference is None:
            out.print(
                f"Choose a reference: nightread drift --model {drift.model} --reference FIRST..LAST", markup=False
            )
        shown = [each for each in drift.comparisons if every or each.exceeds]
        if shown:
            _show_table(drift, shown)
        if note := unjudged_note(drift):
            out.print(note, markup=False)


def _show_table(drift: NightDrift, shown: Sequence[DriftComparison]) -> None:
    numbers = ("number", "distance", "limit")
    table = make_table(out, "images", "differs in", *numbers, "", right=numbers)
    alarming = {each.key for each in drift.alarming}
    for each in sorted(shown, key=lambda each: each.limit / max(each.distance, 1e-9)):
        state = Text("alarm", style="red") if each.key in alarming else Text("beyond", style="yellow")
        table.add_row(
            f"{each.group} (new)" if each.is_new else each.group,
            each.measure,
            f"{each.images:,}",
            f"{each.distance:.2f}",
            f"{each.limit:.2f}",
            state if each.exceeds else "" if each.is_judged else Text("not judged", style="dim"),
        )
    show(out, table)
