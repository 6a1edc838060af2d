"""`nightread models activate`, `deactivate`, `route` and `labels import`, as people call them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dicom_files import as_rgb, with_values
from ledger_driver import LedgerDriver

from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival, NewRoute
from db.queries.bundles import bundles_by_id
from imaging.facts import Facts
from imaging.patient import PatientHasher

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


@pytest.fixture
def scans(inbox: Path) -> Path:
    """Write two films of a chest, one of a hand, and a text file into the inbox."""
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


def test_rules_are_put_into_force_and_taken_out(nightread: Nightread) -> None:
    """The command prints the rules that workers will use."""
    activated(nightread, "--when", "modality=CR,dx", "--when", "view=PA")
    first, second = activated(nightread, "--shadow", "--first")
    assert first | second == second | {"rule": 1}
    assert (first["role"], second["when"]) == ("shadow", ["modality=CR,DX", "view=PA"])
    code, text, _ = nightread("models", "deactivate", "--rule", str(first["rule"]), "--json")
    assert (code, [rule["rule"] for rule in json.loads(text)]) == (0, [second["rule"]])
    assert nightread("models", "deactivate", "phantom")[0] == 0
    assert "There are no routing rules" in nightread("models", "route")[1]


def test_the_slices_of_a_routed_bundle_of_series_make_series(nightread: Nightread, database: Database) -> None:
    """So do those of the bundle that takes its place."""
    for version in ("8", "9"):
        named = ("phantom", "--version", version, "--aggregate", "max")
        assert nightread("models", "for-series", *named)[0] == 0
    assert nightread("models", "activate", "phantom@8")[0] == 0
    assert nightread("models", "activate", "phantom@9", "--replaces", "phantom@8")[0] == 0
    with database.read() as connection:
        assert {bundle.of_series for bundle in bundles_by_id(connection).values()} == {True}


@pytest.mark.parametrize(
    "command", [("models", "activate", "phantom"), ("models", "list"), ("models", "route"), ("status",)]
)
def test_a_worker_with_a_model_of_its_own_is_named_because_it_ignores_the_rules(
    nightread: Nightread, database: Database, command: tuple[str, ...]
) -> None:
    """Otherwise the new rule would be ignored in silence; a worker that no longer runs does not matter."""
    activated(nightread, "--when", "modality=CR")
    known = {"boot_id": "1", "slots": 1, "device": "CPU", "release": "0"}
    now = datetime.now(UTC)
    ledger.heartbeat(database, node="here", model="mnist-cnn", now=now, **known)
    ledger.heartbeat(database, node="gone", model="mnist-cnn", now=now - timedelta(hours=1), **known)

    _, text, error = nightread(*command)

    rules = "2 routing rules" if "activate" in command else "1 routing rule"
    assert f"Worker here runs with --model mnist-cnn and ignores the {rules}." in text + error
    assert "Worker gone" not in text + error


def test_a_dry_run_counts_and_changes_nothing(nightread: Nightread, scans: Path, database: Database) -> None:
    """Counts are shown per rule, for images without a rule, and for files without a header."""
    code, text, _ = nightread(
        "models", "activate", "phantom", "--when", "body_part=CHEST", "--dry-run", str(scans), "--json"
    )
    counts = json.loads(text)
    assert code == 0
    assert (counts["images"], counts["unreadable"]) == (3, {"not_dicom": 1})
    assert [rule["images"] for rule in counts["rules"]] == [2]
    assert [(group["body_part"], group["images"]) for group in counts["no_model"]] == [("HAND", 1)]
    assert queries.routes_in_force(database) == ()
    table = nightread("models", "activate", "phantom", "--when", "body_part=CHEST", "--dry-run", str(scans))[1]
    assert "body_part=CHEST" in table
    assert "Nothing was changed" in table


def test_rules_in_force_can_be_tested_on_a_folder(nightread: Nightread, scans: Path) -> None:
    """The output counts the images by rule, before the first night."""
    activated(nightread)
    text = nightread("models", "route", "--dry-run", str(scans))[1]
    assert "3 images; 0 match no answer rule" in text
    assert "1 file without a readable header: not_dicom 1" in text


def test_a_dry_run_counts_images_that_the_model_was_not_made_for(nightread: Nightread, scans: Path) -> None:
    """The rule matches three images, and phantom was not made for hands; with --any-domain nothing is refused."""
    activated(nightread)
    (rule,) = json.loads(nightread("models", "route", "--dry-run", str(scans), "--json")[1])["rules"]
    table = nightread("models", "route", "--dry-run", str(scans))[1]

    assert (rule["images"], rule["out_of_domain"]) == (3, 1)
    assert "out of domain" in table.splitlines()[0]


@pytest.mark.parametrize(("tint", "outside"), [(0, 0), (60, 1)])
def test_a_dry_run_looks_at_coloured_images_as_a_worker_does(
    nightread: Nightread, inbox: Path, tint: int, outside: int
) -> None:
    """A grey film that is stored as RGB is a film."""
    (inbox / "film.dcm").write_bytes(as_rgb(1, tint=tint))

    text = nightread("models", "activate", "phantom", "--dry-run", str(inbox), "--json")[1]

    assert [(rule["images"], rule["out_of_domain"]) for rule in json.loads(text)["rules"]] == [(1, outside)]


def test_a_bundle_replaces_another_in_its_places(nightread: Nightread) -> None:
    """All rules of the old bundle name the new one; a bundle without rules cannot be replaced."""
    activated(nightread, "--when", "modality=CR")
    (rule,) = activated(nightread, "--replaces", "phantom@1.1")
    assert rule["when"] == ["modality=CR"]
    code, _, error = nightread("models", "activate", "phantom", "--replaces", "chest@1")
    assert code == 2
    assert "There is no active rule for chest@1" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("activate", "nobody"), "there is no model nobody"),
        (("activate", "phantom", "--when", "colour=red"), "unknown field colour"),
        (("activate", "phantom", "--replaces", "phantom", "--first"), "omit --when"),
        (("deactivate",), "Name either a model"),
        (("deactivate", "phantom"), "There is no active rule for phantom"),
    ],
)
def test_a_wrong_request_is_one_line(nightread: Nightread, arguments: tuple[str, ...], message: str) -> None:
    """The line names what to do, and the exit code is 2."""
    code, text, error = nightread("models", *arguments)
    assert (code, text) == (2, "")
    assert message in error


def test_a_configured_model_for_all_images_is_reported(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routing rules have no effect while the setting `model` is given."""
    monkeypatch.setenv("NIGHTREAD_MODEL", "phantom")
    assert "routing rules are ignored" in nightread("models", "activate", "phantom")[2]


def test_labels_are_imported_by_accession_number(
    nightread: Nightread,
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    bundle_id: int,
    tmp_path: Path,
) -> None:
    """The number is hashed before it is stored; labels of images that are not in the database yet are kept."""
    key = PatientHasher(SITE_KEY.encode()).accession_key(None, "A-17")
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id, facts=Facts(accession_key=key))
    file = tmp_path / "truth.csv"
    file.write_text("Accession_Number,nodule,scar\nA-17,1,0\nA-18,0,no\n")
    code, text, _ = nightread("labels", "import", str(file), "--json")
    assert (code, json.loads(text)) == (
        0,
        {"subject": "accession", "keys": 2, "in_record": 1, "labels": {"nodule": 1}},
    )
    (one,) = queries.results_with_truth(ledger_driver.database, "d" * 64)
    assert one.truth == {"nodule": True, "scar": False}

    ledger.remember_issuers(ledger_driver.database, [("accession", "RIS")], now=ledger_driver.clock())
    text = " ".join(nightread("labels", "import", str(file))[1].split())
    assert "1 number has no images yet and is stored without an issuer (known issuers: RIS)." in text


def test_labels_are_imported_one_per_line(nightread: Nightread, tmp_path: Path) -> None:
    """All lines about one study are kept."""
    file = tmp_path / "truth.csv"
    file.write_text("study_instance_uid,label\n1.2,nodule\n1.2,scar\n1.3,clear\n")
    text = nightread("labels", "import", str(file))[1]
    assert "Labels imported for 2 studies; 0 of these are in the database." in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("patient,label\n1,nodule\n", "exactly one of"),
        ("study_instance_uid\n1\n", "a column `label`"),
        ("study_instance_uid,label\n,nodule\n", "line 2"),
        ("study_instance_uid,label\n1,\n", "label is missing"),
        ("study_instance_uid,nodule\n1,maybe\n", "nodule must be 1 or 0"),
        ("study_instance_uid,label\n", "contains no labels"),
    ],
)
def test_a_wrong_file_of_labels_is_one_line(nightread: Nightread, tmp_path: Path, content: str, message: str) -> None:
    """The error names the line and the problem, and nothing is imported."""
    file = tmp_path / "truth.csv"
    file.write_text(content)
    code, _, error = nightread("labels", "import", str(file))
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("study_instance_uid,label\n1,n\xf6dule\n".encode("latin-1"), "not a CSV file in UTF-8"),
        (b"study_instance_uid,label\n1" + b"2" * 64 + b",nodule\n", "line 2"),
        (b"study_instance_uid," + b"n" * 101 + b"\n1,1\n", "longer than 100"),
    ],
)
def test_values_that_do_not_fit_the_database_are_refused(
    nightread: Nightread, tmp_path: Path, content: bytes, message: str
) -> None:
    """The error names the line, before the database is asked."""
    file = tmp_path / "truth.csv"
    file.write_bytes(content)
    code, _, error = nightread("labels", "import", str(file))
    assert code == 2
    assert message in error


def test_a_folder_that_changed_under_its_rule_is_refused(
    nightread: Nightread, database: Database, ledger_driver: LedgerDriver
) -> None:
    """Rules for two versions of one folder would stop every worker; the new version may replace the old one."""
    older = ledger.register_bundle(
        database,
        name="phantom",
        version="1.1",
        digest="e" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )
    rule = NewRoute(bundle_id=older, role="answer", conditions=("rows>=512",))
    ledger.add_route(database, rule, first=False, actor="alice", now=ledger_driver.clock())
    code, _, error = nightread("models", "activate", "phantom")
    assert code == 2
    assert "Rule 1 is active for a different phantom@1.1" in error
    assert nightread("models", "activate", "phantom", "--replaces", "phantom@1.1")[0] == 0
    assert [route.digest == "e" * 64 for route in queries.routes_in_force(database)] == [False]
