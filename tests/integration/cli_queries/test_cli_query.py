"""`nightread query`, as a person or a program calls it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import skip_reasons
from ledger_driver import LedgerDriver

from db.ledger import Arrival
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
    """All names, whatever the format, and the full path."""
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


def test_query_of_nothing_is_still_a_document(nightread: Nightread) -> None:
    """An empty list, no lines, a heading, a sentence."""
    assert json.loads(nightread("query", "--format", "json")[1]) == []
    assert nightread("query", "--format", "jsonl")[1] == ""
    assert nightread("query", "--format", "csv")[1].strip() == ",".join(COLUMNS)
    assert nightread("query")[1] == "No image matches.\n"


def test_parquet_goes_to_a_file_and_reads_back(
    nightread: Nightread,
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    tmp_path: Path,
    bundle_id_of_record: int,
) -> None:
    """Typed, with scores as a map; without -o it is refused, and no half-written file stays."""
    parquet = pytest.importorskip("pyarrow.parquet", reason=skip_reasons.PARQUET)
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id_of_record)

    assert nightread("query", "--format", "parquet")[0] == 2
    assert nightread("query", "-o", str(tmp_path / "out.parquet"))[0] == 0

    table = parquet.read_table(tmp_path / "out.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table.column("image_id").to_pylist() == [1, 2]
    assert table.column("scores").to_pylist()[0] == [("clear", 0.75), ("nodule", 0.25)]
    assert not list(tmp_path.glob("*.part"))


def test_a_table_is_labelled_and_says_that_there_is_more(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for diagnosis, unless settings say otherwise."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all()

    _, text, _ = nightread("query", "--limit", "2")

    assert "Not for diagnosis." in text
    assert "The first 2; there are more" in text
    monkeypatch.setenv("NIGHTREAD_NOT_FOR_DIAGNOSIS", "false")
    assert "diagnosis" not in nightread("query")[1]


def test_a_patient_is_found_by_number_and_issuer(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The argument is hashed with the site's key, as the worker did with the header."""
    hasher = PatientHasher(SITE_KEY.encode())
    for issuer, number in ((None, "123"), ("HOSP", "123"), (None, "124")):
        ledger_driver.register(make_arrivals(1))
        facts = Facts(patient_key=hasher.patient_key(issuer, number), accession_key=hasher.accession_key(None, "A1"))
        ledger_driver.analyse_all(facts=facts)

    assert _found(nightread, "--patient", "123") == [1]
    assert _found(nightread, "--patient", "123", "--issuer", "HOSP") == [2]
    assert _found(nightread, "--accession", "A1") == [1, 2, 3]
    assert _found(nightread, "--accession", "A1", "--patient", "124") == [3]


def test_no_site_key_is_made_up_by_asking(
    nightread: Nightread, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key would find nobody and say so falsely."""
    monkeypatch.delenv("NIGHTREAD_SITE_KEY")

    assert nightread("query", "--patient", "123")[0] == 2
    assert not (state_dir / "site.key").exists()


def test_a_night_is_the_sites_own(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """From 18:00 to 07:00 in Berlin, which is 17:00 to 06:00 UTC in November."""
    for hour in (16, 17, 29, 30):  # 29: 05:00 of the next day
        ledger_driver.clock.now = ledger_driver.clock.now.replace(day=5 + hour // 24, hour=hour % 24, minute=59)
        ledger_driver.register(make_arrivals(1))

    assert _found(nightread, "--night", "2026-11-05") == [2, 3]
    assert _found(nightread, "--since", "2026-11-05T18:00", "--until", "2026-11-06T07:00") == [2, 3]
    assert nightread("query", "--night", "yesterday")[0] == 2


def test_states_have_an_option_of_their_own(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """`--state` is the folder everywhere; who means the other is told."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)

    assert _found(nightread, "--in-state", "failed") == [1]
    assert _found(nightread, "--in-state", "done") == []
    assert "--in-state failed" in nightread("query", "--state", "failed")[2]
