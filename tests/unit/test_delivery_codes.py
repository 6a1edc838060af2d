"""The codes of reports, with the values that the standard has (PS3.16), and those of the scheme 99NIGHTREAD."""

import pytest

from delivery import codes


@pytest.mark.parametrize(
    ("modality", "scheme", "value"),
    [
        ("CR", "LN", "43468-8"),
        ("DX", "LN", "43468-8"),
        ("CT", "LN", "25045-6"),
        ("MR", "LN", "25056-3"),
        ("NM", "LN", "49118-3"),
        ("PT", "LN", "44136-0"),
        ("XA", "SCT", "77343006"),
        ("US", "SCT", "363679005"),
        (None, "SCT", "363679005"),
    ],
)
def test_each_modality_has_its_procedure(modality: str | None, scheme: str, value: str) -> None:
    """CID 100; a modality without a code of its own, or none, is `Imaging procedure`."""
    (code,) = codes.procedures([modality])
    assert (code.scheme_designator, code.value) == (scheme, value)


def test_procedures_are_ordered_by_scheme_and_value() -> None:
    """The order does not depend on the images, so that the same results give the same file."""
    found = list(codes.procedures(["XA", "PT", "US", "CT"]))
    assert [code.value for code in found] == ["25045-6", "44136-0", "363679005", "77343006"]


def test_the_scheme_of_the_labels_is_declared() -> None:
    """Name and organisation are those of docs/reports.md."""
    scheme = codes.coding_scheme()
    assert scheme.CodingSchemeDesignator == "99NIGHTREAD"
    assert scheme.CodingSchemeName == "nightread: labels of model bundles"
    assert scheme.CodingSchemeResponsibleOrganization == "nightread"


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("nodule", "nodule"),
        ("1234567890123456", "1234567890123456"),
        ("12345678901234567", "#97f40b8ae3e4d31"),
        ("Ödem", "#39bd018e2029cf5"),
        ("a\tb", "#894891f8b78a994"),
        ("edge ", "#ea14efdfa1bfe60"),
    ],
)
def test_a_label_of_at_most_16_printable_ascii_characters_is_its_code(label: str, value: str) -> None:
    """Any other label has the first 15 digits of its SHA-256, here calculated with sha256sum."""
    assert codes.label_code(label).value == value


@pytest.mark.parametrize(("length", "kept"), [(64, 64), (65, 64)])
def test_a_meaning_has_at_most_64_characters(length: int, kept: int) -> None:
    """This is the length of the VR LO."""
    assert codes.label_code("x" * length).meaning == "x" * kept


@pytest.mark.parametrize(
    ("code", "scheme", "value"),
    [
        (codes.DEVICE, "DCM", "121007"),
        (codes.COMMENT, "DCM", "121106"),
        (codes.PROBABILITY, "DCM", "122157"),
        (codes.NO_UNITS, "UCUM", "1"),
        (codes.ARTIFICIAL_INTELLIGENCE, "DCM", "123110"),
        (codes.PRESENT, "SCT", "52101004"),
        (codes.ABSENT, "SCT", "272519000"),
        (codes.ANY_FINDING, "99NIGHTREAD", "ANY_FINDING"),
    ],
)
def test_the_concepts_have_their_codes(code: codes.CodedConcept, scheme: str, value: str) -> None:
    """The values are those of PS3.16, annex D, and of SNOMED CT and UCUM."""
    assert (code.scheme_designator, code.value) == (scheme, value)
