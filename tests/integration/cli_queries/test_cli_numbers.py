"""`nightread query --patient` and `--accession` search all issuers, and say which of them have the number."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.ledger import Arrival
from db.store_tables import truths
from imaging.facts import Facts
from imaging.patient import NumberKind, PatientHasher

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"
PATIENT: NumberKind = "patient"


@pytest.fixture
def images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Record four images, as workers record them: of 123 by HOSP (two), 123 by CLINIC, and 124 without an issuer."""
    hasher = PatientHasher(SITE_KEY.encode())
    for issuer, number, order in (
        ("HOSP", "123", "A1"),
        ("HOSP", "123", "A2"),
        ("CLINIC", "123", "A3"),
        (None, "124", "A1"),
    ):
        ledger_driver.register(make_arrivals(1))
        keys = {
            "patient_key": hasher.patient_key(issuer, number),
            "accession_key": hasher.accession_key("RIS" if issuer else None, order),
        }
        ledger_driver.analyse_all(facts=Facts(**keys))
    ledger.remember_issuers(ledger_driver.database, hasher.issuers, now=ledger_driver.clock())


@pytest.mark.usefixtures("images")
def test_a_trace_and_a_purge_are_asked_for_by_number(nightread: Nightread) -> None:
    """A trace shows the images of all issuers and says so; a purge refuses to guess which patient is meant."""
    code, text, error = nightread("trace", "--patient", "123", "--json")
    assert (code, [trace["image_id"] for trace in json.loads(text)]) == (0, [1, 2, 3])
    assert "several issuers" in error
    assert nightread("trace", "--accession", "A9")[0] == 2
    code, _, error = nightread("purge", "--patient", "123", "--yes")
    assert (code, "choose one with --issuer NAME" in error) == (2, True)
    purged = json.loads(nightread("purge", "--patient", "123", "--issuer", "CLINIC", "--yes", "--json")[1])
    assert purged["purged"] == 1
    assert [row["image_id"] for row in json.loads(nightread("query", "--patient", "123", "--format", "json")[1])] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("conditions", "found", "note"),
    [
        (("--patient", "124"), [4], ""),
        (("--patient", "123", "--issuer", "HOSP"), [1, 2], ""),
        (("--patient", "123", "--issuer", ""), [], ""),
        (("--accession", "A3"), [3], "Issuer of this AccessionNumber: RIS (1 image)."),
        (
            ("--patient", "123"),
            [1, 2, 3],
            (
                "Warning: several issuers have this PatientID: CLINIC (1 image), HOSP (2 images). They may be "
                "different patients: choose one with --issuer NAME, or --issuer '' for no issuer."
            ),
        ),
        (
            ("--accession", "A1"),
            [1, 4],
            (
                "Warning: several issuers have this AccessionNumber: no issuer (1 image), RIS (1 image). They may be "
                "different orders: choose one with --issuer NAME, or --issuer '' for no issuer."
            ),
        ),
        (
            ("--patient", "125"),
            [],
            (
                "No image has this PatientID: neither an image without an issuer nor an image of the 2 known issuers "
                "(CLINIC, HOSP). If the images have another issuer, give it with --issuer NAME."
            ),
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("images")
def test_a_number_is_found_whichever_issuer_the_images_name(
    nightread: Nightread, conditions: tuple[str, ...], found: list[int], note: str
) -> None:
    """Standard output has the images alone; the sentence on the issuers goes to standard error."""
    code, text, error = nightread("query", "--format", "json", *conditions)

    assert (code, error) == (0, f"{note}\n" if note else "")
    assert [image["image_id"] for image in json.loads(text)] == found


@pytest.mark.usefixtures("ledger_driver")
def test_without_any_known_issuer_the_sentence_says_so(nightread: Nightread) -> None:
    """There is no list of issuers in it."""
    assert nightread("query", "--patient", "125")[2].startswith(
        "No image without an issuer has this PatientID, and no issuer is known. If the images have one, give it with"
    )


@pytest.mark.usefixtures("images")
def test_patient_and_accession_together_must_both_hold(nightread: Nightread) -> None:
    """Each is searched across the issuers of its own kind."""
    _, text, _ = nightread("query", "--format", "json", "--patient", "123", "--accession", "A1")

    assert [image["image_id"] for image in json.loads(text)] == [1]


def test_an_issuer_without_a_number_and_a_patient_of_studies_are_wrong_usage(nightread: Nightread) -> None:
    """The message names the options that go together."""
    assert "--issuer needs --patient or --accession" in nightread("query", "--issuer", "HOSP")[2]
    assert nightread("query", "--studies", "--patient", "123")[0] == 2


def test_at_most_a_thousand_issuers_are_remembered(ledger_driver: LedgerDriver) -> None:
    """Made-up headers may name a new one in every image; those that are known stay."""
    now, kind = ledger_driver.clock(), PATIENT
    first: list[tuple[NumberKind, str]] = [(kind, f"{number:04}") for number in range(1, 999)]
    ledger.remember_issuers(ledger_driver.database, first, now=now)

    ledger.remember_issuers(ledger_driver.database, [(kind, "z1"), (kind, "z2"), (kind, "z3")], now=now)
    ledger.remember_issuers(ledger_driver.database, [(kind, "z1"), (kind, "z4")], now=now)

    names = queries.known_issuers(ledger_driver.database, kind)
    assert (len(names), names[-2:]) == (1000, ["z1", "z2"])
    assert queries.known_issuers(ledger_driver.database, "accession") == []


@pytest.mark.usefixtures("images")
def test_labels_belong_to_the_only_issuer_that_has_the_number(
    nightread: Nightread, ledger_driver: LedgerDriver, tmp_path: Path
) -> None:
    """As in a search; a number without images is stored without an issuer, and --issuer chooses one."""
    hasher = PatientHasher(SITE_KEY.encode())
    file = tmp_path / "truth.csv"
    file.write_text("accession_number,label\nA3,nodule\nA9,clear\n")
    code, text, _ = nightread("labels", "import", str(file), "--json")
    assert (code, json.loads(text)["in_record"]) == (0, 1)
    found = known(ledger_driver)
    assert found == {hasher.accession_key("RIS", "A3"): "nodule", hasher.accession_key(None, "A9"): "clear"}
    file.write_text("accession_number,label\nA1,scar\n")
    for issuer in ("RIS", ""):
        assert nightread("labels", "import", str(file), "--issuer", issuer)[0] == 0
        found[hasher.accession_key(issuer, "A1")] = "scar"
        assert known(ledger_driver) == found


@pytest.mark.usefixtures("images")
def test_labels_of_a_number_of_several_issuers_are_refused(
    nightread: Nightread, ledger_driver: LedgerDriver, tmp_path: Path
) -> None:
    """The label of one order must not become that of another one; the number itself is not repeated."""
    file = tmp_path / "truth.csv"
    file.write_text("accession_number,label\nA3,nodule\nA1,scar\n")
    code, _, error = nightread("labels", "import", str(file))
    assert code == 2
    assert "1 accession number has images of several issuers (RIS, no issuer), the first one in line 3." in error
    assert "--issuer NAME, or --issuer '' for no issuer. Nothing was imported." in error
    assert known(ledger_driver) == {}


def known(ledger_driver: LedgerDriver) -> dict[str | None, str]:
    """Return the imported labels by their keys."""
    with ledger_driver.database.read() as connection:
        return {row.key: row.label for row in connection.execute(select(truths))}
