"""A hasher recognises patients who opted out, by the key of their number alone or with one issuer."""

import pytest

from imaging.patient import PatientHasher


@pytest.fixture
def hasher() -> PatientHasher:
    """Return a hasher that has hashed nothing."""
    return PatientHasher(b"a key of the site")


def _has_opted_out(hasher: PatientHasher, issuer: str | None, number: str | None) -> bool:
    return hasher.has_opted_out(hasher.patient_key(issuer, number))


def test_the_key_of_a_number_means_all_issuers(hasher: PatientHasher) -> None:
    """It is trimmed as the numbers of headers are."""
    hasher.opt_out(frozenset({hasher.number_key(" 77") or ""}))
    assert [_has_opted_out(hasher, issuer, "77 ") for issuer in (None, "HOSP", "CLINIC")] == [True] * 3
    assert not _has_opted_out(hasher, "HOSP", "78")


def test_the_key_with_an_issuer_means_this_one(hasher: PatientHasher) -> None:
    """The same number of another issuer may be another patient."""
    hasher.opt_out(frozenset({hasher.patient_key("HOSP", "77") or ""}))
    assert [_has_opted_out(hasher, issuer, "77") for issuer in (None, "HOSP", "CLINIC")] == [False, True, False]


def test_a_changed_list_counts_for_numbers_that_were_hashed_before(hasher: PatientHasher) -> None:
    """Hashes are cached; the list is not."""
    key = hasher.patient_key("HOSP", "77")
    assert not hasher.has_opted_out(key)
    hasher.opt_out(frozenset({hasher.number_key("77") or ""}))
    assert _has_opted_out(hasher, "HOSP", "77")
    hasher.opt_out(frozenset())
    assert not _has_opted_out(hasher, "HOSP", "77")


def test_an_order_with_the_number_of_a_patient_is_no_patient(hasher: PatientHasher) -> None:
    """Patients and orders have different keys; an empty number has none."""
    hasher.opt_out(frozenset({hasher.number_key("77") or ""}))
    assert not hasher.has_opted_out(hasher.accession_key(None, "77"))
    assert (hasher.number_key(" \0"), _has_opted_out(hasher, None, "")) == (None, False)
