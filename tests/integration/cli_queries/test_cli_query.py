"""`nightread query`, as people and programs call it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import skip_reasons
from ledger_driver import LedgerDriver, build_arrivals
from rich.console import Console

from cli import query
from db.ledger import Annotations, Arrival, Members
from db.queries import COLUMNS
from db.tables import State
from imaging.facts import Facts
from imaging.patient import PatientHasher
from nightread.paths import uri_of
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


def _found(nightread: Nightread, *conditions: str) -> list[int]:
    code, text, _ = nightread("query", "--format", "json", *conditions)
    assert code == 0
    return [image["image_id"] for image in json.loads(text)]


@pytest.mark.parametrize("style", ["json", "jsonl", "csv"])
def test_query_writes_each_arrival_in_each_format(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, style: str
) -> None:
    """Every format has all columns, and the full path."""
    ledger_driver.register(make_arrivals(1, uri=uri_of(b"a\nb \xff.dcm")))
    ledger_driver.analyse_all()

    _, text, _ = nightread("query", "--format", style)

    (image,) = {
        "json": json.loads,
        "jsonl": lambda lines: [json.loads(line) for line in lines.splitlines()],
        "csv": lambda lines: list(csv.DictReader(io.StringIO(lines))),
    }[style](text)
    assert tuple(image) == COLUMNS
    assert image["uri"].endswith("/inbox/a%0Ab %FF.dcm")
    assert str(image["image_id"]) == "1"


def test_query_without_matches_is_a_valid_document(nightread: Nightread) -> None:
    """The output is an empty list, no line, a heading, or a sentence."""
    assert json.loads(nightread("query", "--format", "json")[1]) == []
    assert nightread("query", "--format", "jsonl")[1] == ""
    assert nightread("query", "--format", "csv")[1].strip() == ",".join(COLUMNS)
    assert nightread("query")[1] == "No image matches.\n"


def test_parquet_goes_to_a_file_and_reads_back(
    nightread: Nightread,
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    tmp_path: Path,
    bundle_id: int,
) -> None:
    """Columns are typed and scores are a map; without -o it is refused, and no partial file is left."""
    parquet = pytest.importorskip("pyarrow.parquet", reason=skip_reasons.PARQUET)
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)

    assert nightread("query", "--format", "parquet")[0] == 2
    assert nightread("query", "-o", str(tmp_path / "out.parquet"))[0] == 0

    table = parquet.read_table(tmp_path / "out.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table.column("image_id").to_pylist() == [1, 2]
    assert table.column("scores").to_pylist()[0] == [("clear", 0.75), ("nodule", 0.25)]
    assert not list(tmp_path.glob("*.part"))


def test_a_table_is_labelled_and_shows_that_it_is_cut(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label `Not for diagnosis.` can be switched off in the settings."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all()

    _, text, _ = nightread("query", "--limit", "2")

    assert "Not for diagnosis." in text
    assert "The first 2 images of a longer list" in text
    monkeypatch.setenv("NIGHTREAD_NOT_FOR_DIAGNOSIS", "false")
    assert "diagnosis" not in nightread("query")[1]


@pytest.mark.parametrize(
    ("remarks", "dropped"), [(None, ["modality"]), ("frames_left_out voi_not_used", ["modality", "arrived"])]
)
def test_a_table_on_a_terminal_of_80_columns_cuts_no_cell(
    nightread: Nightread,
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    bundle_id: int,
    monkeypatch: pytest.MonkeyPatch,
    remarks: str | None,
    dropped: list[str],
) -> None:
    """The path is shortened; columns that a person can do without are left out if a result is long."""
    for _ in range(2):
        ledger_driver.register(make_arrivals(1, uri="a/long/path/to/image-0001.dcm"))
        ledger_driver.analyse_all(bundle_id=bundle_id, label="nodule", score=0.75, remarks=remarks)
    screen = Console(width=80, force_terminal=True, color_system=None, highlight=False, soft_wrap=True)
    monkeypatch.setattr(query, "out", screen)

    lines = [line.rstrip() for line in nightread("query")[1].splitlines()]

    assert max(map(len, lines)) <= 80
    assert [name for name in ("modality", "arrived") if name not in lines[0]] == dropped
    assert "nodule, replaced by 2" in lines[2]
    assert lines[2].endswith("-0001.dcm")


def test_a_member_of_an_archive_is_shown_with_its_own_name(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The path in the spool says nothing to a person."""
    ledger_driver.register(make_arrivals(1, uri="cd.zip"))
    member = make_arrivals(1, uri="20261105/1-abc/000001.dcm", member_name="DICOM/IM000001")
    members = Members(source_id=ledger_driver.source_id, arrivals=tuple(member))
    ledger_driver.analyse_all(state=State.EXPANDED, annotations=Annotations(members=members))

    assert "/20261105/1-abc/000001.dcm (DICOM/IM000001)" in nightread("query")[1]
    rows = json.loads(nightread("query", "--format", "json")[1])
    assert [row["member_name"] for row in rows] == [None, "DICOM/IM000001"]


def test_a_replaced_file_is_shown_as_replaced(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Table and JSON name the image that has its name now. Its result stays: names such as IM0001.dcm are reused."""
    for _ in range(2):
        ledger_driver.register(make_arrivals(1, uri="image.dcm"))
        ledger_driver.analyse_all(bundle_id=bundle_id, label="nodule", score=0.75)

    assert "nodule, replaced by 2" in nightread("query")[1].splitlines()[1]
    assert _found(nightread, "--current") == [1, 2]
    assert _found(nightread, "--replaced") == [1]
    assert [row["replaced_by"] for row in json.loads(nightread("query", "--format", "json")[1])] == [2, None]
    assert (
        "1 file was replaced by another file of the same name; its result stays (`nightread query --replaced`)."
        in nightread("status")[1]
    )
    assert json.loads(nightread("status", "--json")[1])["replaced"] == 1


def test_a_patient_is_found_by_number_and_issuer(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The argument is hashed with the site key, as the worker hashes the header."""
    hasher = PatientHasher(SITE_KEY.encode())
    for issuer, number in ((None, "123"), ("HOSP", "123"), (None, "124")):
        ledger_driver.register(make_arrivals(1))
        facts = Facts(patient_key=hasher.patient_key(issuer, number), accession_key=hasher.accession_key(None, "A1"))
        ledger_driver.analyse_all(facts=facts)

    assert _found(nightread, "--patient", "123") == [1]
    assert _found(nightread, "--patient", "123", "--issuer", "HOSP") == [2]
    assert _found(nightread, "--accession", "A1") == [1, 2, 3]
    assert _found(nightread, "--accession", "A1", "--patient", "124") == [3]


def test_a_query_makes_no_site_key(nightread: Nightread, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a new key no patient would be found, although the images are there."""
    monkeypatch.delenv("NIGHTREAD_SITE_KEY")

    assert nightread("query", "--patient", "123")[0] == 2
    assert not (state_dir / "site.key").exists()


def test_a_night_is_in_the_local_time_of_the_site(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """18:00 to 07:00 in Berlin is 17:00 to 06:00 UTC in November."""
    for hour in (16, 17, 29, 30):  # 29: 05:00 of the next day
        ledger_driver.clock.now = ledger_driver.clock.now.replace(day=5 + hour // 24, hour=hour % 24, minute=59)
        ledger_driver.register(make_arrivals(1))

    assert _found(nightread, "--night", "2026-11-05") == [2, 3]
    assert _found(nightread, "--since", "2026-11-05T18:00", "--until", "2026-11-06T07:00") == [2, 3]
    assert nightread("query", "--night", "yesterday")[0] == 2
    code, _, said = nightread("query", "--since", "2026-11-06", "--until", "2026-11-05")
    assert (code, "--since must be the earlier one" in said) == (2, True)
    code, _, said = nightread("query", "--min-score", "0.8", "--max-score", "0.2")
    assert (code, "--min-score must not be the larger one" in said) == (2, True)


def test_states_have_their_own_option(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """`--state` is the state folder; with the name of a state the error names `--in-state`."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)

    assert _found(nightread, "--in-state", "failed") == [1]
    assert _found(nightread, "--in-state", "done") == []
    assert "--in-state failed" in nightread("query", "--state", "failed")[2]


def test_conditions_on_the_device_and_the_newest_first(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """View, manufacturer and station are conditions, and the newest arrival may come first."""
    for station in ("CT1", "DX1", "DX1"):
        view = "PA" if station == "DX1" else None
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(facts=Facts(manufacturer="Maker", station_name=station, view_position=view))

    assert _found(nightread, "--station", "CT1") == [1]
    assert _found(nightread, "--view", "PA", "--manufacturer", "Maker", "--sort", "newest", "--limit", "5") == [3, 2]


def test_sqlite_has_no_role_that_could_read(nightread: Nightread) -> None:
    """The message says what to do instead."""
    code, _, said = nightread("db", "grant-readers", "reports")
    assert code == 2
    assert "SQLite has no roles" in said
