"""The commands that read, as a person or a program calls them."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from night import Night, SettableClock

from cli.main import main
from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Arrival
from db.queries import COLUMNS
from db.tables import State
from imaging.facts import Facts
from imaging.patient import PatientHasher
from nightread.paths import root_text, uri_of
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state folder with an empty record."""
    folder = tmp_path / "state"
    folder.mkdir()
    database = open_database(f"sqlite:///{folder / 'nightread.sqlite3'}")
    schema.upgrade(database)
    database.close()
    return folder


@pytest.fixture
def record(state_dir: Path) -> Database:
    """The record of that folder."""
    return open_database(f"sqlite:///{state_dir / 'nightread.sqlite3'}")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder of scans."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def night(record: Database, clock: SettableClock, inbox: Path) -> Night:
    """The ledger's verbs on that record; its source is the inbox."""
    source_id = ledger.ensure_source(record, name="inbox", kind="folder", root=root_text(inbox), now=clock())
    return Night(database=record, clock=clock, source_id=source_id)


@pytest.fixture
def nightread(state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nightread:
    """`nightread("query", "--format", "json")`: exit code, standard output, standard error."""
    monkeypatch.setenv("NIGHTREAD_STATE_DIR", str(state_dir))
    monkeypatch.setenv("NIGHTREAD_SITE_KEY", SITE_KEY)
    monkeypatch.setenv("NIGHTREAD_TIME_ZONE", "Europe/Berlin")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nightread", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def _found(nightread: Nightread, *conditions: str) -> list[int]:
    code, text, _ = nightread("query", "--format", "json", *conditions)
    assert code == 0
    return [image["image_id"] for image in json.loads(text)]


def test_status_as_json_has_the_names_that_programs_rely_on(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals
) -> None:
    """And nothing else is on standard output."""
    night.register(make_arrivals(2))
    night.analyse_all(state=State.REJECTED, reason=Reason.EMPTY)
    night.register(make_arrivals(1))
    ledger.beat(night.database, node="w@h", boot_id="1", slots=2, device="2 CPU", release="0", now=night.clock())

    code, text, _ = nightread("status", "--json")

    status = json.loads(text)
    assert code == 0
    assert {name: status[name] for name in ("arrived", "rejected", "waiting", "rejected_defective", "out_of_scope")} == {
        "arrived": 3, "rejected": 2, "waiting": 1, "rejected_defective": 2, "out_of_scope": 0
    }  # fmt: skip
    assert {"done", "duplicate", "failed", "queued", "running", "rate_per_second", "eta_seconds"} <= status.keys()
    assert [(worker["node"], worker["slots"], worker["alive"]) for worker in status["workers"]] == [("w@h", 2, False)]
    assert status["adds_up"] is True


def test_status_for_people_says_what_is_wrong(nightread: Nightread, night: Night, make_arrivals: MakeArrivals) -> None:
    """Counts with their reasons, and that nothing moves."""
    night.register(make_arrivals(1))
    night.analyse_all(state=State.FAILED, reason=Reason.MISSING_FILE)
    night.register(make_arrivals(1))

    _, text, _ = nightread("status")

    assert "missing_file" in text
    assert "1 to go, and nothing was finished in the last minute." in text
    assert "No worker is running." in text
    assert "\x1b" not in text


def test_a_missing_record_is_one_line_and_stays_missing(nightread: Nightread, tmp_path: Path) -> None:
    """The line names the folder and what to do; nothing is made by looking."""
    for command in (["status"], ["query"], ["audit"]):
        code, text, error = nightread(*command, "--state", str(tmp_path / "elsewhere"))

        assert (code, text) == (2, "")
        assert error.startswith("error: There is no nightread database in")
        assert "--state" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_record_without_schema_is_told_how_to_get_one(nightread: Nightread, tmp_path: Path) -> None:
    """`db upgrade` is named, does it, and may run twice."""
    (tmp_path / "x.sqlite3").touch()
    url = ("--database-url", f"sqlite:///{tmp_path / 'x.sqlite3'}")

    assert "nightread db upgrade" in nightread("status", *url)[2]
    assert nightread("db", "upgrade", *url)[0] == 0
    assert nightread("db", "upgrade", *url)[0] == 0
    assert nightread("status", *url)[0] == 0


def test_a_database_that_does_not_answer_is_one_line(nightread: Nightread) -> None:
    """Without the password that its URL holds."""
    code, _, error = nightread("status", "--database-url", "postgresql://me:secret@127.0.0.1:1/x")

    assert code == 2
    assert error.startswith("error: The database does not answer")
    assert "secret" not in error


@pytest.mark.parametrize("style", ["json", "jsonl", "csv"])
def test_query_writes_each_arrival_in_each_format(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals, style: str
) -> None:
    """All names, whatever the format, and the full path."""
    night.register(make_arrivals(1, uri=uri_of(b"a\nb \xff.dcm")))
    night.analyse_all()

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
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals, tmp_path: Path, bundle_id_of_record: int
) -> None:
    """Typed, with scores as a map; without -o it is refused, and no half-written file stays."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra is not installed")
    night.register(make_arrivals(2))
    night.analyse_all(bundle_id=bundle_id_of_record)

    assert nightread("query", "--format", "parquet")[0] == 2
    assert nightread("query", "-o", str(tmp_path / "out.parquet"))[0] == 0

    table = parquet.read_table(tmp_path / "out.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table.column("image_id").to_pylist() == [1, 2]
    assert table.column("scores").to_pylist()[0] == [("clear", 0.75), ("nodule", 0.25)]
    assert os.listdir(tmp_path) == sorted(["state", "inbox", "out.parquet"]) or not list(tmp_path.glob("*.part"))


@pytest.fixture
def bundle_id_of_record(record: Database, clock: SettableClock) -> int:
    """A bundle in that record."""
    labels = ["clear", "nodule"]
    return ledger.register_bundle(
        record, name="p", version="1", digest="d" * 64, labels=labels, normal_label="clear", now=clock()
    )


def test_a_table_is_labelled_and_says_that_there_is_more(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for diagnosis, unless settings say otherwise."""
    night.register(make_arrivals(3))
    night.analyse_all()

    _, text, _ = nightread("query", "--limit", "2")

    assert "Not for diagnosis." in text
    assert "The first 2; there are more" in text
    monkeypatch.setenv("NIGHTREAD_NOT_FOR_DIAGNOSIS", "false")
    assert "diagnosis" not in nightread("query")[1]


def test_a_patient_is_found_by_number_and_issuer(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals
) -> None:
    """The argument is hashed with the site's key, as the worker did with the header."""
    hasher = PatientHasher(SITE_KEY.encode())
    for issuer, number in ((None, "123"), ("HOSP", "123"), (None, "124")):
        night.register(make_arrivals(1))
        facts = Facts(patient_key=hasher.patient_key(issuer, number), accession_key=hasher.accession_key(None, "A1"))
        night.analyse_all(facts=facts)

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


def test_a_night_is_the_sites_own(nightread: Nightread, night: Night, make_arrivals: MakeArrivals) -> None:
    """From 18:00 to 07:00 in Berlin, which is 17:00 to 06:00 UTC in November."""
    for hour in (16, 17, 29, 30):  # 29: 05:00 of the next day
        night.clock.now = night.clock.now.replace(day=5 + hour // 24, hour=hour % 24, minute=59)
        night.register(make_arrivals(1))

    assert _found(nightread, "--night", "2026-11-05") == [2, 3]
    assert _found(nightread, "--since", "2026-11-05T18:00", "--until", "2026-11-06T07:00") == [2, 3]
    assert nightread("query", "--night", "yesterday")[0] == 2


def test_states_have_an_option_of_their_own(nightread: Nightread, night: Night, make_arrivals: MakeArrivals) -> None:
    """`--state` is the folder everywhere; who means the other is told."""
    night.register(make_arrivals(1))
    night.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)

    assert _found(nightread, "--in-state", "failed") == [1]
    assert _found(nightread, "--in-state", "done") == []
    assert "--in-state failed" in nightread("query", "--state", "failed")[2]


def test_audit_passes_a_sound_record_and_compares_the_folder(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """Files without a row and rows without a file are told, and are no violation; temporary names are neither."""
    (inbox / "known.dcm").touch()
    (inbox / "below").mkdir()
    (inbox / "below" / "new one.dcm").touch()
    (inbox / "half.part").touch()
    (inbox / ".hidden").touch()
    night.register(make_arrivals(1, uri="known.dcm"))
    night.register(make_arrivals(1, uri="gone.dcm"))

    code, text, _ = nightread("audit", "--json")

    assert code == 0
    (folder,) = json.loads(text)["folders"]
    assert json.loads(text)["violations"] == []
    assert folder["files"] == 2
    assert folder["without_row"] == [f"{inbox}/below/new one.dcm"]
    assert folder["gone"] == [{"image_id": 2, "uri": f"{inbox}/gone.dcm"}]


def test_audit_ends_with_1_and_names_what_is_broken(
    nightread: Nightread, night: Night, make_arrivals: MakeArrivals
) -> None:
    """The rule in words, and the image."""
    from sqlalchemy import delete  # noqa: PLC0415

    from db.tables import work  # noqa: PLC0415

    night.register(make_arrivals(2))
    night.database.write(lambda connection: connection.execute(delete(work).where(work.c.instance_id == 2)))

    code, text, _ = nightread("audit")

    assert code == 1
    assert "broken: every arrival has exactly one first row of work\n  image 2\n" in text


def test_models_are_listed_and_shown_with_their_digest_verified(nightread: Nightread) -> None:
    """The bundle that ships; an unknown one is a usage fault that names it."""
    listed = json.loads(nightread("models", "list", "--json")[1])
    shown = json.loads(nightread("models", "show", "phantom", "--json")[1])

    assert [(model["name"], model["verified"]) for model in listed] == [("phantom", True)]
    assert shown["digest"] == listed[0]["digest"]
    assert shown["training"]["evaluation"]["recall"] > 0.9
    assert "verified" in nightread("models", "show", "phantom")[1]
    assert nightread("models", "show", "nothing")[0] == 2


def test_a_bundle_that_was_changed_is_listed_as_such(nightread: Nightread, state_dir: Path) -> None:
    """One bad bundle does not hide the others."""
    folder = state_dir / "bundles" / "broken"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text('{"name": "broken", "version": "1"}')

    code, text, _ = nightread("models", "list", "--json")

    assert code == 0
    assert [(model["name"], model["verified"]) for model in json.loads(text)] == [("broken", False), ("phantom", True)]


def test_doctor_says_what_fails_and_what_to_do(nightread: Nightread) -> None:
    """A Redis that does not answer and a model that nobody has make it end with 1; a sound machine with 0."""
    assert nightread("doctor", "--model", "phantom")[0] == 0

    code, text, _ = nightread("doctor", "--model", "nothing", "--redis-url", "redis://127.0.0.1:1/0", "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert code == 1
    assert checks["Redis"]["verdict"] == checks["model"]["verdict"] == "fail"
    assert all(check["remedy"] for check in checks.values() if check["verdict"] != "ok")
    assert checks["database"]["verdict"] == "ok"


def test_doctor_asks_a_real_redis(nightread: Nightread, redis_url: str) -> None:
    """Its version is shown."""
    _, text, _ = nightread("doctor", "--redis-url", redis_url, "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert checks["Redis"]["verdict"] in ("ok", "warn")
    assert "used" in checks["Redis"]["found"]
