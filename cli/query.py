"""Define `nightread query`: list images with their results, or with the reason why they have none."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import click

from api.export import FORMATS, Rows, export
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.number_search import Numbers
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.output.console import err, out
from cli.output.image_table import show_images
from cli.series import ALL_SERIES, list_series, require_only_series_times, show_series_of_images
from cli.studies import list_studies, require_only_times
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.tables import State
from imaging.remarks import Remark
from nightread.content_digest import content_of, former_content_of, is_content, is_sha256
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import Settings

_TABLE_LIMIT = 100
_SCORE = click.FloatRange(0, 1)
_MANY: dict[str, Any] = {"multiple": True}


@click.command("query")
@click.option("--id", "image_ids", type=int, help="Id of the image.", **_MANY)
@click.option(
    "--in-state", "states", type=click.Choice([state.value for state in State]), help="State of the image.", **_MANY
)
@click.option(
    "--reason",
    "reasons",
    type=click.Choice([reason.value for reason in Reason]),
    metavar="REASON",
    help="Reason why there is no result.",
    **_MANY,
)
@click.option("--label", "labels", help="Label of the result.", **_MANY)
@click.option(
    "--remark",
    "remarks",
    type=click.Choice([remark.value for remark in Remark]),
    metavar="REMARK",
    help="Remark on the result, such as voi_not_used.",
    **_MANY,
)
@click.option("--min-score", type=_SCORE, help="Lowest score of the resulting label.")
@click.option("--max-score", type=_SCORE, help="Highest score of the resulting label.")
@click.option("--source", "sources", help="Name of the source.", **_MANY)
@click.option("--modality", "modalities", help="Modality, such as CT or DX.", **_MANY)
@click.option("--view", "view_positions", help="View of a radiograph, such as PA or MLO.", **_MANY)
@click.option("--manufacturer", "manufacturers", help="Manufacturer of the device, as the header names it.", **_MANY)
@click.option("--station", "station_names", help="Name of the device at its site.", **_MANY)
@click.option(
    "--model",
    "models",
    metavar="NAME[@VERSION]",
    help="Results of this model, including further results.",
    **_MANY,
)
@click.option("--shadow", is_flag=True, help="Only results of shadow models (on trial).")
@click.option("--patient", help="PatientID; it is hashed before the search.")
@click.option("--accession", help="AccessionNumber; it is hashed before the search.")
@click.option(
    "--issuer",
    help="Issuer of the PatientID or AccessionNumber, '' for images that name no issuer [any issuer].",
)
@click.option("--study", "study_instance_uid", help="Study Instance UID.")
@click.option(
    "--series",
    "series_instance_uid",
    is_flag=False,
    flag_value=ALL_SERIES,
    metavar="[UID]",
    help="Images of this series, with its result; without a UID: one row per series, with evidence and coverage.",
)
@click.option("--sop", "sop_instance_uid", help="SOP Instance UID.")
@click.option(
    "--file",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Images with exactly the bytes of this file, wherever it lies.",
    **_MANY,
)
@click.option("--content", "contents", metavar="blake3:HEX", help="Value of the column `content`.", **_MANY)
@click.option("--sha256", metavar="HEX", help="SHA-256 of a file that an earlier release analysed; else use --file.")
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only images that arrived at or after this time (local time of the site): 2026-11-05 or 2026-11-05T18:00.",
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Only images that arrived before this time.")
@click.option("--night", metavar="DATE|last", help="Only images that arrived in the night that began on this date.")
@click.option(
    "--parent", "parent_ids", type=int, help="Only images extracted from the archive with this image id.", **_MANY
)
@click.option(
    "--withdrawn/--not-withdrawn",
    default=None,
    help="Only images that a key object note rejected; --not-withdrawn: only the other images.",
)
@click.option(
    "--replaced/--not-replaced",
    default=None,
    help="Only images whose file was replaced by another file of the same name; --not-replaced: only the other images.",
)
@click.option(
    "--conflict/--no-conflict",
    default=None,
    help="Only images in conflict: a source that may not replace or withdraw them tried to. --no-conflict: only the "
    "other images.",
)
@click.option(
    "--current",
    is_flag=True,
    help="Leave out withdrawn images and old versions of images.",
)
@click.option(
    "--studies",
    is_flag=True,
    help="One row per study, with its completeness (use with --study, --since, --until, --night, --limit).",
)
@click.option(
    "--with-sha256/--without-sha256",
    "fills_sha256",
    default=None,
    help="Read the files to fill in `sha256`, if they are on this host [yes for up to 1,000 images with 1 GiB in all].",
)
@click.option("--frames", "per_frame", is_flag=True, help="One row per analysed frame.")
@click.option(
    "--sort",
    type=click.Choice(["id", "newest", "score", "suspicion", "finished"]),
    default="id",
    show_default=True,
    help="Order of rows.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"Maximum number of rows; 0: all [table: {_TABLE_LIMIT}, else all]."
)
@click.option(
    "--format", "style", type=click.Choice(["table", *FORMATS]), help="Output format [from the name of -o, else table]."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Output file.")
@state_options
def query_command(
    style: str | None,
    output: Path | None,
    limit: int | None,
    studies: bool,
    fills_sha256: bool | None,
    **options: Any,
) -> None:
    """List images and their results.

    Conditions can be combined. Several values of the same condition are alternatives.

    \b
    Examples: nightread query --night last --label nodule --min-score 0.8
              nightread query --night last --sort suspicion --limit 20
              nightread query --in-state failed --in-state rejected --format csv -o no-result.csv
              nightread query --patient 12345 --format json | jq '.[].score'
              nightread query --file scan.dcm
              nightread query --studies --night last
              nightread query --series --night last
    """  # noqa: D301 - click reads the backspace itself
    settings, wanted, numbers = wanted_images(options)
    style = _style(style, output)
    lists_series = wanted.series_instance_uid == ALL_SERIES
    if lists_series:
        wanted = replace(wanted, series_instance_uid=None)
        require_only_series_times(wanted, numbers)
    if studies:
        require_only_times(wanted, numbers)
    # A person who reads a table sees the note that it is cut; a program gets all rows.
    wanted = replace(wanted, limit=(_TABLE_LIMIT if limit is None and style == "table" else limit) or None)
    with _ignore_broken_pipe(), open_existing_database(settings) as database, one_line_errors():
        wanted = numbers.add_to(wanted, database, settings, _tell)
        if studies:
            list_studies(out, database, wanted, style, output, settings)
        elif lists_series:
            list_series(out, database, wanted, style, output, settings)
        elif style == "table":
            is_second = show_series_of_images(out, database, wanted.series_instance_uid, settings)
            show_images(out, database, wanted, settings, is_first=not is_second)
        else:
            rows: Iterator[dict[str, Any]] = queries.images(database, wanted)
            rows = rows if fills_sha256 is False else _with_sha256(database, settings, rows, is_asked=fills_sha256)
            export(rows, style, output, per_frame=wanted.per_frame)


def wanted_images(options: dict[str, Any]) -> tuple[Settings, ImageFilter, Numbers]:
    """Convert the options that choose images to settings, a filter, and the patient or order to search for."""
    given = {name: options.pop(name) for name in ("config", "state_dir", "database_url", "redis_url")}
    settings = settings_from(**given)
    patient, accession, issuer, night = (options.pop(name) for name in ("patient", "accession", "issuer", "night"))
    numbers = Numbers(patient=patient or None, accession=accession or None, issuer=issuer)
    contents = (*options.pop("contents"), *chain.from_iterable(map(_contents_of, options.pop("files"))))
    for content in contents:
        if not is_content(content):
            raise UsageFault(f"{content} is not an identity of bytes: give blake3: and 64 hex digits, or use --file.")
    _require_matching(options["sha256"], options["min_score"], options["max_score"])
    since, until = arrival_bounds(settings, options["since"], options["until"], night)
    return settings, ImageFilter(**{**options, "contents": contents, "since": since, "until": until}), numbers


def _require_matching(sha256: str | None, min_score: float | None, max_score: float | None) -> None:
    """Raise UsageFault if no image can match these options."""
    if sha256 is not None and not is_sha256(sha256):
        raise UsageFault("--sha256 must have 64 hex digits; for the bytes of a file that you have, use --file.")
    if min_score is not None and max_score is not None and min_score > max_score:
        raise UsageFault("No score is between --min-score and --max-score: --min-score must not be the larger one.")


def _contents_of(path: Path) -> tuple[str, str]:
    """Return the identities of the bytes of the file: the present one, and the one of earlier releases."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageFault(f"{path} cannot be read ({type(error).__name__}): check its permissions.") from None
    return content_of(data), former_content_of(data)


def _with_sha256(database: Database, settings: Settings, rows: Rows, *, is_asked: bool | None) -> Rows:
    from api.sha256 import with_sha256, with_sha256_of_few  # noqa: PLC0415 - a table does not need it

    if is_asked:
        return with_sha256(database, settings, rows)
    rows, is_filled = with_sha256_of_few(database, settings, rows)
    if not is_filled:
        _tell("`sha256` is left out where files would have to be read; --with-sha256 reads them.")
    return rows


def _tell(note: str) -> None:
    err.print(note, markup=False, style="yellow")


def _style(style: str | None, output: Path | None) -> str:
    """Return the output format: `style` if it is given, else the format named by the file's suffix, else table."""
    named = output.suffix.removeprefix(".").lower() if output else ""
    chosen = style or (named if named in FORMATS else "table")
    if chosen == "table" and output:
        raise UsageFault(
            f"A table cannot be written to a file: use -o with --format {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        )
    return chosen


@contextmanager
def _ignore_broken_pipe() -> Iterator[None]:
    """End without a message if the reader of a pipe ends first, as in `nightread query ... | head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes standard output when it ends
