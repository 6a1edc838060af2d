"""Define `nightread labels`: import labels that became known after the analysis (ground truth)."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from api.hashing import site_hasher
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.number_search import accession_keys
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.wording import counted
from db import ledger
from db.engine import Database
from db.ledger import GroundTruth, Subject
from db.queries import known_issuers, known_keys
from imaging.facts import KEY_LENGTH
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.plain_text import visible
from nightread.settings import Settings

_SUBJECTS: dict[str, Subject] = {
    "sop_instance_uid": "sop",
    "study_instance_uid": "study",
    "accession_number": "accession",
}
_NOUNS: dict[Subject, tuple[str, str]] = {
    "sop": ("image", "images"),
    "study": ("study", "studies"),
    "accession": ("accession number", "accession numbers"),
}
_TRUTH_VALUES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_MAX_LABEL = 100


@click.group("labels")
def labels_command() -> None:
    """Manage ground truth: labels known afterwards, used by `nightread models evaluate --night`."""


@labels_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--issuer",
    help="Issuer of the accession numbers, '' for none [the issuer whose images have these numbers].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def import_command(file: Path, issuer: str | None, as_json: bool, **options: Any) -> None:
    """Import ground truth from a CSV file.

    The first line names the columns: one of sop_instance_uid, study_instance_uid and accession_number, and either
    `label` (one label per line) or one column per label with 1 or 0. Earlier labels of the same image, study or order
    are replaced. Accession numbers are hashed before they are stored.

    \b
    Examples: nightread labels import biopsies.csv
              nightread models evaluate phantom --night last
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        truths = _ground_truth(file, database, settings, issuer)
        keys = ledger.save_ground_truth(database, truths, actor=user_name(), now=utc_now())
        subject = truths[0].subject
        known = known_keys(database, subject, sorted({truth.key for truth in truths}))
        issuers = known_issuers(database, "accession")
    counts = Counter(truth.label for truth in truths if truth.present)
    if as_json:
        print_json({"subject": subject, "keys": keys, "in_record": known, "labels": dict(counts)})
        return
    one, many = _NOUNS[subject]
    out.print(f"Labels imported for {counted(keys, one, many)}; {known:,} of these are in the database.")
    out.print(", ".join(f"{label} {count:,}" for label, count in counts.most_common()), markup=False)
    if subject == "accession" and issuer is None and known < keys and issuers:
        out.print(
            f"{counted(keys - known, 'number has no images yet and is', 'numbers have no images yet and are')} stored "
            f"without an issuer (known issuers: {', '.join(issuers)}). If the images will name an issuer, import the "
            "file again with --issuer NAME.",
            markup=False,
            style="yellow",
        )


class _Read(NamedTuple):
    """One label of the file, and its line."""

    line: int
    truth: GroundTruth


def _ground_truth(file: Path, database: Database, settings: Settings, issuer: str | None) -> list[GroundTruth]:
    try:
        read = list(_truths(file))
    except (UnicodeDecodeError, csv.Error):
        raise UsageFault(f"{file} is not a CSV file in UTF-8: export it again in this encoding.") from None
    if not read:
        raise UsageFault(f"{file} contains no labels: there are no lines below the first line.")
    if read[0].truth.subject == "accession":
        return _hashed(read, database, settings, issuer)
    return [truth for _, truth in read]


def _truths(file: Path) -> Iterator[_Read]:
    """Yield the labels of a file; accession numbers are not hashed yet."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        keyed = [name for name in _SUBJECTS if name in columns]
        if len(keyed) != 1:
            raise UsageFault(f"{file}: the first line must name exactly one of the columns {', '.join(_SUBJECTS)}.")
        labels = [name for name in columns.values() if name != columns[keyed[0]]]
        if not labels:
            raise UsageFault(f"{file} has only the column {keyed[0]}. Add a column `label`, or one column per label.")
        if any(len(visible(name)) > _MAX_LABEL for name in labels):
            raise UsageFault(f"{file}: a label in the first line is longer than {_MAX_LABEL} characters.")
        subject = _SUBJECTS[keyed[0]]
        for row in reader:
            place = f"{file}, line {reader.line_num}"
            key = _key(row[columns[keyed[0]]], subject, place)
            for label, present in _labels(row, columns, labels, place):
                yield _Read(reader.line_num, GroundTruth(subject=subject, key=key, label=label, present=present))


def _key(text: str | None, subject: Subject, place: str) -> str:
    key = (text or "").strip().strip("\0 ")
    if subject != "accession":
        key = visible(key)
    if not key or (subject != "accession" and len(key) > KEY_LENGTH):
        raise UsageFault(
            f"{place}: the identifier of the image, study or order is missing or too long. Nothing was imported."
        )
    return key


def _hashed(read: Sequence[_Read], database: Database, settings: Settings, issuer: str | None) -> list[GroundTruth]:
    """Replace the accession numbers by their hashes. Raises UsageFault if there is no site key."""
    lines: dict[str, int] = {}
    for line, truth in read:
        lines.setdefault(truth.key, line)
    keys = accession_keys(database, site_hasher(settings), lines, issuer)
    return [replace(truth, key=keys[truth.key]) for _, truth in read]


def _labels(row: dict[str, str], columns: dict[str, str], labels: list[str], place: str) -> Iterator[tuple[str, bool]]:
    if "label" in columns:
        label = visible((row[columns["label"]] or "").strip())
        if not 0 < len(label) <= _MAX_LABEL:
            raise UsageFault(
                f"{place}: the label is missing or longer than {_MAX_LABEL} characters. Nothing was imported."
            )
        yield label, True
        return
    for label in labels:
        value = (row[label] or "").strip().lower()
        if value not in _TRUTH_VALUES:
            raise UsageFault(f"{place}: {label} must be 1 or 0. Nothing was imported.")
        yield visible(label.strip()), _TRUTH_VALUES[value]
