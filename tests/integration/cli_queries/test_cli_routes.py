"""Test `nightread models activate`, `deactivate`, `route` and `labels import` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_files import with_values
from ledger_driver import LedgerDriver

from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival, NewRoute
from imaging.facts import Facts
from imaging.patient import PatientHasher

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


@pytest.fixture
def scans(inbox: Path) -> Path:
    """Write two chest films, one hand film and a text file."""
    for number, part in enumerate(("CHEST", "CHEST", "HAND")):
        (inbox / f"{number}.dcm").write_bytes(with_values(number, BodyPartExamined=part))
    (inbox / "note").write_text("no scan")
    return inbox


def activated(nightread: Nightread, *arguments: str) -> list[dict[str, object]]:
    """Return the active rules after `models activate phantom ...`."""
    code, text, _ = nightread("models", "activate", "phantom", *arguments, "--json")
    assert code == 0
    rules: list[dict[str, object]] = json.loads(text)
    return rules


def test_rules_are_activated_and_deactivated(nightread: Nightread) -> None:
    """The printed rules are those that workers apply."""
    activated(nightread, "--when", "modality=CR,dx", "--when", "view=PA")
    first, second = activated(nightread, "--shadow", "--first")
    assert first | second == second | {"rule": 1}
    assert (first["role"], second["when"]) == ("shadow", ["modality=CR,DX", "view=PA"])
    code, text, _ = nightread("models", "deactivate", "--rule", str(first["rule"]), "--json")
    assert (code, [rule["rule"] for rule in json.loads(text)]) == (0, [second["rule"]])
    assert nightread("models", "deactivate", "phantom")[0] == 0
    assert "There are no routing rules" in nightread("models", "route")[1]


def test_a_dry_run_counts_and_changes_nothing(nightread: Nightread, scans: Path, record: Database) -> None:
    """It counts the images of each rule, images without a rule, and files without a header."""
    code, text, _ = nightread(
        "models", "activate", "phantom", "--when", "body_part=CHEST", "--dry-run", str(scans), "--json"
    )
    seen = json.loads(text)
    assert code == 0
    assert (seen["images"], seen["unreadable"]) == (3, {"not_dicom": 1})
    assert [rule["images"] for rule in seen["rules"]] == [2]
    assert [(kind["body_part"], kind["images"]) for kind in seen["no_model"]] == [("HAND", 1)]
    assert queries.routes_in_force(record) == ()
    table = nightread("models", "activate", "phantom", "--when", "body_part=CHEST", "--dry-run", str(scans))[1]
    assert "body_part=CHEST" in table
    assert "Nothing was changed" in table


def test_active_rules_can_be_tried_on_a_folder(nightread: Nightread, scans: Path) -> None:
    """`models route --dry-run` counts the images of a folder."""
    activated(nightread)
    text = nightread("models", "route", "--dry-run", str(scans))[1]
    assert "3 images; 0 match no answer rule" in text
    assert "1 file without a readable header: not_dicom 1" in text


def test_a_bundle_replaces_another_in_its_places(nightread: Nightread) -> None:
    """All rules of the bundle are taken over; a bundle without rules cannot be replaced."""
    activated(nightread, "--when", "modality=CR")
    (rule,) = activated(nightread, "--replaces", "phantom@1.0")
    assert rule["when"] == ["modality=CR"]
    code, _, complaint = nightread("models", "activate", "phantom", "--replaces", "chest@1")
    assert code == 2
    assert "There is no active rule for chest@1" in complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("activate", "nobody"), "there is no model nobody"),
        (("activate", "phantom", "--when", "colour=red"), "unknown field colour"),
        (("activate", "phantom", "--replaces", "phantom", "--first"), "omit --when"),
        (("deactivate",), "Name either a model"),
        (("deactivate", "phantom"), "There is no active rule for phantom"),
    ],
)
def test_a_wrong_request_is_one_line(nightread: Nightread, arguments: tuple[str, ...], complaint: str) -> None:
    """The line says what to do; the exit code is 2."""
    code, text, error = nightread("models", *arguments)
    assert (code, text) == (2, "")
    assert complaint in error


def test_a_fixed_model_disables_the_rules_with_a_warning(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the warning, activating a rule would have no visible effect."""
    monkeypatch.setenv("NIGHTREAD_MODEL", "phantom")
    assert "routing rules are ignored" in nightread("models", "activate", "phantom")[2]


def test_labels_are_imported_by_accession_number(
    nightread: Nightread,
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    bundle_id_of_record: int,
    tmp_path: Path,
) -> None:
    """The number is hashed before it is stored; what is not in the record yet is kept for later."""
    key = PatientHasher(SITE_KEY.encode()).accession_key(None, "A-17")
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id_of_record, facts=Facts(accession_key=key))
    file = tmp_path / "truth.csv"
    file.write_text("Accession_Number,nodule,scar\nA-17,1,0\nA-18,0,no\n")
    code, text, _ = nightread("labels", "import", str(file), "--json")
    assert (code, json.loads(text)) == (
        0,
        {"subject": "accession", "keys": 2, "in_record": 1, "labels": {"nodule": 1}},
    )
    (one,) = queries.results_with_truth(ledger_driver.database, "d" * 64)
    assert one.truth == {"nodule": True, "scar": False}


def test_labels_are_imported_one_a_line(nightread: Nightread, tmp_path: Path) -> None:
    """Several lines about one study are all kept."""
    file = tmp_path / "truth.csv"
    file.write_text("study_instance_uid,label\n1.2,nodule\n1.2,scar\n1.3,clear\n")
    text = nightread("labels", "import", str(file))[1]
    assert "2 studies have labels now; 0 of them are in the record" in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("patient,label\n1,nodule\n", "exactly one of"),
        ("study_instance_uid\n1\n", "a column `label`"),
        ("study_instance_uid,label\n,nodule\n", "line 2"),
        ("study_instance_uid,label\n1,\n", "label is missing"),
        ("study_instance_uid,nodule\n1,maybe\n", "nodule must be 1 or 0"),
        ("study_instance_uid,label\n", "holds no labels"),
    ],
)
def test_a_wrong_file_of_labels_is_one_line(nightread: Nightread, tmp_path: Path, content: str, complaint: str) -> None:
    """Which line, what is wrong with it, and nothing is imported."""
    file = tmp_path / "truth.csv"
    file.write_text(content)
    code, _, error = nightread("labels", "import", str(file))
    assert code == 2
    assert complaint in error


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("study_instance_uid,label\n1,n\xf6dule\n".encode("latin-1"), "no CSV file in UTF-8"),
        (b"study_instance_uid,label\n1" + b"2" * 64 + b",nodule\n", "line 2"),
        (b"study_instance_uid," + b"n" * 101 + b"\n1,1\n", "longer than 100"),
    ],
)
def test_what_no_database_could_store_is_refused(
    nightread: Nightread, tmp_path: Path, content: bytes, complaint: str
) -> None:
    """In a line of our own, not the database's."""
    file = tmp_path / "truth.csv"
    file.write_bytes(content)
    code, _, error = nightread("labels", "import", str(file))
    assert code == 2
    assert complaint in error


def test_a_folder_that_changed_under_its_rule_is_refused(
    nightread: Nightread, record: Database, ledger_driver: LedgerDriver
) -> None:
    """Two rules for two contents of one folder would stop every worker; the new one may replace the old one."""
    older = ledger.register_bundle(
        record,
        name="phantom",
        version="1.0",
        digest="e" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )
    rule = NewRoute(bundle_id=older, role="answer", conditions=("rows>=512",))
    ledger.add_route(record, rule, first=False, actor="alice", now=ledger_driver.clock())
    code, _, error = nightread("models", "activate", "phantom")
    assert code == 2
    assert "Rule 1 is active for a different phantom@1.0" in error
    assert nightread("models", "activate", "phantom", "--replaces", "phantom@1.0")[0] == 0
    assert [route.digest == "e" * 64 for route in queries.routes_in_force(record)] == [False]
