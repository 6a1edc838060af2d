"""A hasher remembers which issuers it hashed, because a search without an issuer has to try each of them."""

import pytest

from imaging.patient import PatientHasher


@pytest.fixture
def hasher() -> PatientHasher:
    """Return a hasher that has hashed nothing."""
    return PatientHasher(b"a key of the site")


def test_each_issuer_is_remembered_once_with_the_kind_of_its_number(hasher: PatientHasher) -> None:
    """It is trimmed as it is hashed; numbers without an issuer add none."""
    for number in ("1", "2"):
        hasher.patient_key("HOSP ", number)
    hasher.accession_key("HOSP", "A1")
    hasher.patient_key(None, "3")

    assert hasher.issuers == {("patient", "HOSP"), ("accession", "HOSP")}


@pytest.mark.parametrize(
    ("issuer", "number"),
    [("HOSP", " "), ("ANNA", "ANNA "), ("H\0SP", "1"), ("H\ud800", "1"), ("H" * 201, "1")],
    ids=["without a number", "equal to the number", "NUL", "surrogate", "too long"],
)
def test_what_is_no_issuer_or_cannot_be_stored_is_not_remembered(
    hasher: PatientHasher, issuer: str, number: str
) -> None:
    """A number is hashed with it all the same."""
    hasher.patient_key(issuer, number)

    assert hasher.issuers == set()


def test_made_up_issuers_are_remembered_up_to_a_limit(hasher: PatientHasher) -> None:
    """Otherwise a sender could fill the memory of a worker."""
    for number in range(1100):
        hasher.patient_key(f"issuer {number}", "1")

    assert len(hasher.issuers) == 1000
