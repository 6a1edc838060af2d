"""The facts of a header: each comes from its own element, and an unusable value costs only itself."""

import pytest
from explicit_elements import data_set, element, numbers, sequence

from imaging.facts import Facts
from imaging.header import Header
from imaging.identity import read_facts
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.limits import DEFAULT_LIMITS, Limits
from imaging.patient import PatientHasher

ISSUER_OF_ACCESSION = 0x00080051


def facts(*elements: bytes, frames: int | None = None, patient: PatientHasher | None = None) -> Facts:
    """Return the facts of a data set with these elements."""
    return read_facts(Header(elements=data_set(*elements), transfer_syntax="1.2.840"), patient, frames=frames)


def test_each_fact_comes_from_its_element() -> None:
    """All values differ. Texts are cut to 64 characters, codes to 16 (the columns of the database)."""
    elements = data_set(
        element(0x00080008, "CS", "ORIGINAL\\" + "I" * 80),
        element(0x00080016, "UI", "1.1"),
        element(0x00080018, "UI", "1.2"),
        element(0x00080020, "DA", "20261110"),
        element(0x00080060, "CS", "M" * 17),
        element(0x00080070, "LO", "Maker" * 13),
        element(0x00081010, "SH", "S" * 17),
        element(0x00081090, "LO", "Model" * 13),
        element(0x00100030, "DA", "19801111"),
        element(0x00100040, "CS", "F"),
        element(0x00180015, "CS", "B" * 17),
        element(0x00181164, "DS", "0.2\\0.3"),
        element(0x00185101, "CS", "V" * 17),
        element(0x0020000D, "UI", "1.3"),
        element(0x0020000E, "UI", "1.4"),
        element(0x00200060, "CS", "R"),
        element(0x00200062, "CS", "L"),
        element(0x00280004, "CS", "MONOCHROME2"),
        element(0x00280008, "IS", "7"),
        numbers(0x00280010, 5),
        numbers(0x00280011, 6),
        element(0x00280030, "DS", "0.1\\0.4"),
    )

    assert read_facts(Header(elements=elements, transfer_syntax="1.5"), None, decoder="codec 1") == Facts(
        sop_instance_uid="1.2",
        series_instance_uid="1.4",
        study_instance_uid="1.3",
        sop_class_uid="1.1",
        transfer_syntax="1.5",
        modality="M" * 16,
        body_part="B" * 16,
        image_type="ORIGINAL\\" + "I" * 55,
        study_date="20261110",
        view_position="V" * 16,
        laterality="L",
        manufacturer="Maker" * 12 + "Make",
        station_name="S" * 16,
        device_model="Model" * 12 + "Mode",
        photometric="MONOCHROME2",
        pixel_spacing=0.1,
        patient_sex="F",
        age_band="40-49",
        rows=5,
        columns=6,
        frames=7,
        decoder="codec 1",
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [("0.2\\0.3", 0.2), ("0.2", 0.2), ("wide", None), ("0\\0", None), ("nan\\1", None), ("-1\\1", None), ("1e9", None)],
)
def test_the_spacing_is_the_first_number_that_can_be_used(written: str, expected: float | None) -> None:
    """One that cannot be used leaves the word to the next element."""
    assert facts(element(0x00280030, "DS", written)).pixel_spacing == expected
    both = facts(element(0x00182010, "DS", "0.5"), element(0x00280030, "DS", written))
    assert both.pixel_spacing == (expected or 0.5)


def test_an_empty_header_has_no_facts() -> None:
    """Without rows there is no image, so that there is no frame either."""
    assert facts() == Facts(transfer_syntax="1.2.840")
    assert facts(numbers(0x00280011, 6)) == Facts(transfer_syntax="1.2.840", columns=6)


@pytest.mark.parametrize(
    ("written", "counted", "expected"),
    [(b"", None, 1), (element(0x00280008, "IS", "7"), None, 7), (element(0x00280008, "IS", "7"), 3, 3), (b"", 3, 3)],
)
def test_the_number_of_frames(written: bytes, counted: int | None, expected: int) -> None:
    """The counted number wins over the written one; an image without either has one frame."""
    assert facts(written, numbers(0x00280010, 5), frames=counted).frames == expected


def test_an_unusable_number_costs_only_itself() -> None:
    """Rows has two values, and Columns has the length of a byte."""
    found = facts(numbers(0x00280010, 5, 6), element(0x00280011, "US", b"\x06\x00\x07\x00", length=3))
    assert (found.rows, found.columns, found.transfer_syntax) == (None, None, "1.2.840")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("20261110", "20261110"),
        ("2026.11.10", "20261110"),
        ("2026111", None),
        ("202611100", None),
        ("2026-11-", None),
        ("2026111x", None),
        ("", None),
    ],
)
def test_a_date_has_eight_digits(written: str, expected: str | None) -> None:
    """The dots are those of ACR-NEMA (PS3.5 section 6.2)."""
    assert facts(element(0x00080020, "DA", written)).study_date == expected


def test_digits_of_other_scripts_are_no_date() -> None:
    """`str.isdigit` takes them for digits; the character set is UTF-8."""
    text = "\u0662\u0660\u0662\u0666\u0661\u0661\u0661\u0660"
    found = facts(element(0x00080005, "CS", "ISO_IR 192"), element(0x00080020, "DA", text))
    assert found.study_date is None


@pytest.mark.parametrize(
    ("image", "series", "expected"),
    [("L", "R", "L"), ("", "R", "R"), (None, "b", "B"), ("left", "R", "R"), ("X", None, None), (None, None, None)],
)
def test_laterality_is_that_of_the_image_else_of_the_series(
    image: str | None, series: str | None, expected: str | None
) -> None:
    """Other words than R, L, B and U are no laterality."""
    written = ((0x00200060, series), (0x00200062, image))
    found = facts(*(element(tag, "CS", text) for tag, text in written if text is not None))
    assert found.laterality == expected


@pytest.mark.parametrize(("written", "expected"), [("M ", "M"), ("f", "F"), ("O", "O"), ("U", None), ("Miller", None)])
def test_sex_is_one_of_three_letters(written: str, expected: str | None) -> None:
    """A name in the wrong element is not stored."""
    assert facts(element(0x00100040, "CS", written)).patient_sex == expected


@pytest.mark.parametrize(
    ("age", "birth", "study", "expected"),
    [
        ("000Y", None, None, "0-9"),
        ("009Y", None, None, "0-9"),
        ("010Y", None, None, "10-19"),
        ("089Y", None, None, "80-89"),
        ("090Y", None, None, "90+"),
        ("130Y", None, None, "90+"),
        ("131Y", None, None, None),
        ("18M", None, None, "0-9"),
        ("121M", None, None, "10-19"),
        ("052W", None, None, "0-9"),
        ("600W", None, None, "10-19"),
        ("003D", None, None, "0-9"),
        ("045", "19801111", "20261110", "40-49"),
        (None, "19861111", "20261110", "30-39"),
        (None, "19861110", "20261110", "40-49"),
        (None, "19860000", "20261110", None),
        (None, "20270101", "20261110", None),
        (None, "19861110", None, None),
        ("030Y", "19301110", "20261110", "30-39"),
    ],
)
def test_age_is_a_band_of_ten_years(
    age: str | None, birth: str | None, study: str | None, expected: str | None
) -> None:
    """The written age wins (PS3.5 section 6.2, AS); else the age follows from the dates of birth and study."""
    written = ((0x00080020, "DA", study), (0x00100030, "DA", birth), (0x00101010, "AS", age))
    assert facts(*(element(tag, vr, text) for tag, vr, text in written if text is not None)).age_band == expected


def test_the_name_of_a_device_has_the_character_set_of_the_header() -> None:
    """The same bytes are another name in another character set."""
    name = element(0x00081010, "SH", "Röntgen")
    assert facts(element(0x00080005, "CS", "ISO_IR 192"), name).station_name == "Röntgen"
    assert facts(element(0x00080005, "CS", "ISO_IR 100"), name).station_name == "RÃ¶ntgen"


def test_the_keys_of_patient_and_order() -> None:
    """Each key is made of the issuer and the number of its own kind."""
    hasher = PatientHasher(b"a key of the site")
    issuer = sequence(ISSUER_OF_ACCESSION, [element(0x00400031, "LO", "RIS")])
    found = facts(
        element(0x00080050, "SH", "A1"),
        issuer,
        element(0x00100020, "LO", "P1"),
        element(0x00100021, "LO", "HOSP"),
        patient=hasher,
    )

    assert found.patient_key == hasher.patient_key("HOSP", "P1")
    assert found.accession_key == hasher.accession_key("RIS", "A1")
    assert found.key_id == hasher.key_id
    assert hasher.issuers == {("patient", "HOSP"), ("accession", "RIS")}


@pytest.mark.parametrize(
    "issuer",
    [
        b"",
        sequence(ISSUER_OF_ACCESSION, []),
        sequence(ISSUER_OF_ACCESSION, [b""]),
        sequence(ISSUER_OF_ACCESSION, [element(0x00400031, "LO", "RIS", length=900)]),
    ],
    ids=["absent", "no item", "empty item", "damaged"],
)
def test_an_order_without_a_usable_issuer_has_a_key(issuer: bytes) -> None:
    """It is the key of the number alone."""
    hasher = PatientHasher(b"a key of the site")
    found = facts(element(0x00080050, "SH", "A1"), issuer, patient=hasher)

    assert found.accession_key == hasher.accession_key(None, "A1")
    assert found.patient_key is None
    assert hasher.issuers == set()


def test_an_image_of_which_nothing_is_known_is_a_grey_dicom_image() -> None:
    """These are the values of a header that says nothing."""
    assert ImageKind() == (True, None, None, None, None, None, None, 1, None, None, False)
    assert (GREY, COLOUR) == (1, 3)


def test_the_limits_are_those_of_the_documentation() -> None:
    """docs/hostile-input.md: files of 2 GiB, 100 million pixels, 8 GiB, 100,000 frames, 512 MiB inflated."""
    assert Limits() == DEFAULT_LIMITS
    assert (DEFAULT_LIMITS.file_bytes, DEFAULT_LIMITS.object_bytes) == (2_147_483_648, 8_589_934_592)
    assert (DEFAULT_LIMITS.frame_pixels, DEFAULT_LIMITS.frames) == (100_000_000, 100_000)
    assert DEFAULT_LIMITS.inflated_bytes == 536_870_912
