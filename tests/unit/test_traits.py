"""The traits for routing rules are read from headers."""

import pytest
import skip_reasons
from dicom_files import phantom, with_values
from hostile_texts import UNSAFE
from skip_reasons import SHARED_DATA

from imaging.read import read
from imaging.traits import read_traits

DICOM = SHARED_DATA / "dicom"


def test_every_trait_is_read() -> None:
    """Multiple values of an element are separated, and white space around them is dropped."""
    data = with_values(
        1,
        ImageType=["DERIVED", "SECONDARY", "LOCALIZER"],
        PresentationIntentType="FOR PROCESSING",
        BodyPartExamined="CHEST ",
        ViewPosition="PA",
        SeriesDescription="Thorax",
        StudyDescription="LedgerDriver",
        Modality="CR",
    )
    traits = read_traits(read(data), "inbox")
    assert traits._asdict() == {
        "source": ("inbox",),
        "sop_class": traits.sop_class,
        "modality": ("CR",),
        "image_type": ("DERIVED", "SECONDARY", "LOCALIZER"),
        "presentation_intent": ("FOR PROCESSING",),
        "body_part": ("CHEST",),
        "view": ("PA",),
        "description": ("Thorax", "LedgerDriver"),
        "rows": 64,
        "columns": 64,
    }
    assert traits.sop_class[0].startswith("1.2.840.10008.5.1.4.1.1.")


def test_absent_elements_are_empty() -> None:
    """A missing element is not an error."""
    absent = dict.fromkeys(("ImageType", "BodyPartExamined", "SeriesDescription", "StudyDescription"))
    bare = read_traits(read(with_values(1, **absent)), "inbox")
    assert (bare.image_type, bare.body_part, bare.description) == ((), (), ())
    assert read_traits(read(phantom(1)), "inbox").rows == 64


def test_no_trait_has_a_control_character() -> None:
    """The values that a rule matched are stored."""
    data = with_values(
        1, ImageType=["A\x1b[1m", "B"], PresentationIntentType="C\x07", ViewPosition="P\nA", Modality="\x9b"
    )
    traits = read_traits(read(data), "inbox")
    assert not [text for texts in traits if isinstance(texts, tuple) for text in texts if UNSAFE.search(text)]
    assert "B" in traits.image_type


@pytest.mark.skipif(not DICOM.is_dir(), reason=skip_reasons.NO_SHARED_DATA)
def test_the_traits_of_a_real_header_are_read() -> None:
    """The file is an MR slice as its scanner wrote it."""
    (path, *_) = sorted((DICOM / "series_mr_ge").iterdir())
    traits = read_traits(read(path.read_bytes()), "mr")
    assert traits.modality == ("MR",)
    assert "ORIGINAL" in traits.image_type
    assert (traits.rows, traits.columns) == (128, 128)
