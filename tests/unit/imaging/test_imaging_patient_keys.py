"""Keys of patients and orders. They were computed with `openssl dgst -sha256 -hmac 'a key of the site'`."""

import pytest

from imaging import patient
from imaging.patient import PatientHasher

PATIENT = "97d5cf60f37c534f53f1d03d1e11fe0987df751f79105d9ac78665595e72c952"
"""Of `patient||12345`."""
PATIENT_OF_HOSP = "a1792174fc2958a3a6607053b3b4b6fe21c31f84b6ff2a4c08597256f99b08f0"
"""Of `patient|HOSP|12345`."""
ORDER_OF_HOSP = "27eda1aa364be80ca82a01d5ce362209989b99c7abc10d9ca8eaa814414143ba"
"""Of `accession|HOSP|A7`."""


@pytest.fixture
def hasher() -> PatientHasher:
    """Return a hasher that has hashed nothing."""
    return PatientHasher(b"a key of the site")


def test_a_key_stays_the_same_for_all_time(hasher: PatientHasher) -> None:
    """A patient who comes back in a year is found by it."""
    assert hasher.patient_key(None, "12345") == PATIENT
    assert hasher.patient_key("HOSP", "12345") == PATIENT_OF_HOSP
    assert hasher.accession_key("HOSP", "A7") == ORDER_OF_HOSP


@pytest.mark.parametrize("issuer", [None, "", " ", "\x00", " \x00 "])
@pytest.mark.parametrize("number", ["12345", " 12345", "12345\x00", "\x00 12345 \x00"])
def test_padding_changes_no_key(hasher: PatientHasher, issuer: str | None, number: str) -> None:
    """An empty issuer is none."""
    assert hasher.patient_key(issuer, number) == PATIENT


@pytest.mark.parametrize("number", [None, "", " ", "\x00"])
def test_nothing_has_no_key(hasher: PatientHasher, number: str | None) -> None:
    """Otherwise all patients without a number would be one."""
    assert hasher.patient_key("HOSP", number) is None
    assert hasher.accession_key("HOSP", number) is None
    assert hasher.issuers == set()


def test_the_id_of_a_site_key_has_eight_digits(hasher: PatientHasher) -> None:
    """It is the beginning of the SHA-256 of `nightread site key`, a zero byte and the key."""
    assert hasher.key_id == "31705df9"


def test_an_issuer_of_200_characters_is_remembered(hasher: PatientHasher) -> None:
    """So many fit its column."""
    hasher.patient_key("H" * 200, "1")
    hasher.patient_key("I" * 201, "1")
    assert hasher.issuers == {("patient", "H" * 200)}


def test_the_limit_of_issuers_counts_all_kinds(hasher: PatientHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000; here two."""
    assert patient.ISSUER_LIMIT == 1000
    monkeypatch.setattr(patient, "ISSUER_LIMIT", 2)
    for issuer in ("A", "B", "C"):
        assert hasher.patient_key(issuer, "1") is not None
        assert hasher.accession_key(issuer, "2") is not None
    assert hasher.issuers == {("patient", "A"), ("accession", "A")}
