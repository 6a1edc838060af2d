"""`nightread opt-out` changes the list of patients whose images are not analysed."""

import json
from collections.abc import Callable

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.ledger import Arrival
from db.tables import audit
from imaging.facts import Facts
from imaging.patient import PatientHasher

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


@pytest.fixture
def hasher(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> PatientHasher:
    """Record one image of 7001 by HOSP, of 7002 by HOSP and of 7002 by CLINIC; return the hasher of the site."""
    hasher = PatientHasher(SITE_KEY.encode())
    for issuer, number in (("HOSP", "7001"), ("HOSP", "7002"), ("CLINIC", "7002")):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(facts=Facts(patient_key=hasher.patient_key(issuer, number)))
    ledger.remember_issuers(ledger_driver.database, hasher.issuers, now=ledger_driver.clock())
    return hasher


def test_a_number_is_added_for_all_issuers(
    nightread: Nightread, ledger_driver: LedgerDriver, hasher: PatientHasher
) -> None:
    """One entry is listed; its keys are that of the number, without issuer, and of each known issuer."""
    code, output, _ = nightread("opt-out", "add", "--patient", "7001", "--json")
    assert (code, json.loads(output)) == (0, {"added": 4, "images": 1})
    (entry,) = json.loads(nightread("opt-out", "list", "--json")[1])
    assert (entry["key"], entry["any_issuer"], entry["key_id"]) == (hasher.number_key("7001"), True, hasher.key_id)
    keys = {hasher.patient_key(issuer, "7001") for issuer in (None, "HOSP", "CLINIC")}
    assert queries.opted_out_keys(ledger_driver.database) == keys | {hasher.number_key("7001")}
    assert "is on the list already" in nightread("opt-out", "add", "--patient", "7001")[1]


@pytest.mark.usefixtures("hasher")
def test_neither_tables_nor_audit_hold_the_number(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """Only its hashes."""
    nightread("opt-out", "add", "--patient", "7001")
    with ledger_driver.database.read() as connection:
        (entry,) = connection.execute(select(audit)).all()
    assert entry.action == "opt_out.add"
    assert "7001" not in json.dumps(entry.detail).replace(json.dumps(entry.detail["patient_keys"]), "")
    assert all(len(key) == 64 for key in entry.detail["patient_keys"])


def test_a_number_of_several_issuers_needs_one(nightread: Nightread, hasher: PatientHasher) -> None:
    """They may be different people: nothing is added, and with an issuer only that one."""
    code, _, error = nightread("opt-out", "add", "--patient", "7002")
    assert (code, "several issuers have this PatientID" in error) == (2, True)
    assert nightread("opt-out", "list")[1] == "No patient has opted out.\n"
    assert nightread("opt-out", "add", "--patient", "7002", "--issuer", "CLINIC")[0] == 0
    (entry,) = json.loads(nightread("opt-out", "list", "--json")[1])
    assert (entry["key"], entry["any_issuer"]) == (hasher.patient_key("CLINIC", "7002"), False)


@pytest.mark.usefixtures("hasher")
def test_add_with_purge_removes_what_is_there(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """Of this patient only."""
    output = json.loads(nightread("opt-out", "add", "--patient", "7001", "--purge", "--yes", "--json")[1])
    assert (output["images"], output["purged"]) == (1, 1)
    assert queries.purged_among(ledger_driver.database, [1, 2, 3]) == {1}
    without = nightread("opt-out", "add", "--patient", "7002", "--issuer", "HOSP")[1]
    assert "holds 1 image of this patient: --purge removes" in without


@pytest.mark.usefixtures("hasher")
@pytest.mark.parametrize("by", ["number", "key"])
def test_an_entry_is_removed_with_all_its_keys(nightread: Nightread, ledger_driver: LedgerDriver, by: str) -> None:
    """By the number of the patient, or by the key that the list shows; a second time it is an error."""
    nightread("opt-out", "add", "--patient", "7001")
    (entry,) = json.loads(nightread("opt-out", "list", "--json")[1])
    arguments = ("--patient", "7001") if by == "number" else ("--key", entry["key"])
    assert nightread("opt-out", "remove", *arguments)[0] == 0
    assert queries.opted_out_keys(ledger_driver.database) == frozenset()
    assert nightread("opt-out", "remove", *arguments)[0] == 2


@pytest.mark.usefixtures("hasher")
def test_entries_of_another_site_key_are_reported(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """They match no image, so somebody has to add the patient again; `doctor` says so too."""
    now = ledger_driver.clock()
    nightread("opt-out", "add", "--patient", "7001")
    assert _check(nightread)["result"] == "ok"
    ledger.add_opt_out(ledger_driver.database, ["f" * 64], number_key=None, key_id="other", actor="ann", now=now)
    assert "1 entry of another site key" in nightread("opt-out", "list")[1]
    assert (_check(nightread)["result"], _check(nightread)["found"]) == (
        "fail",
        "1 of 2 entries made with another site key",
    )


def _check(nightread: Nightread) -> dict[str, str]:
    """Return what `nightread doctor` says of the list."""
    checks = json.loads(nightread("doctor", "--json")[1])["checks"]
    (check,) = [check for check in checks if check["name"] == "opt-outs"]
    return dict(check)
