"""Which pictures may show names: the header says so, or the kind of the image does."""

from typing import Any

import pytest
from dicom_files import MakeDicom
from pydicom.uid import (
    CTImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
)

from imaging.burned_in import why_withheld
from imaging.read import read
from imaging.withheld_kinds import why_withheld_by_class

WITHHELD: list[tuple[dict[str, Any], str]] = [
    ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation"),
    ({"BurnedInAnnotation": "Y"}, "BurnedInAnnotation"),
    ({"Modality": "US"}, "Ultrasound"),
    ({"Modality": "IVUS"}, "Ultrasound"),
    ({"SOPClassUID": UltrasoundImageStorage}, "Ultrasound"),
    ({"SOPClassUID": UltrasoundMultiFrameImageStorage}, "Ultrasound"),
    ({"SOPClassUID": SecondaryCaptureImageStorage}, "Secondary captures"),
    ({"SOPClassUID": MultiFrameTrueColorSecondaryCaptureImageStorage}, "Secondary captures"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "capture of a screen"),
    ({"ConversionType": "SD"}, "capture of a screen"),
    ({"BurnedInAnnotation": "UNKNOWN"}, "BurnedInAnnotation"),
    ({"Modality": "OT"}, "Secondary captures"),
    ({"Modality": "XC"}, "photographs"),
    ({"SOPClassUID": VideoEndoscopicImageStorage}, "Endoscopy"),
]


@pytest.mark.parametrize(("elements", "why"), WITHHELD)
def test_a_picture_that_may_show_names_is_withheld(make_dicom: MakeDicom, elements: dict[str, Any], why: str) -> None:
    """The sentence says why, and which setting allows it."""
    found = why_withheld(read(make_dicom(**elements)).elements)
    assert found is not None
    assert why in found
    assert "show_burned_in" in found


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"BurnedInAnnotation": "NO"},
        {"BurnedInAnnotation": ""},
        {"ConversionType": "SYN"},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
    ],
)
def test_other_pictures_are_shown(make_dicom: MakeDicom, elements: dict[str, Any]) -> None:
    """Reformatted slices are secondary as well, and have no names in them."""
    assert why_withheld(read(make_dicom(**elements)).elements) is None


@pytest.mark.parametrize("suffix", ["3", "3.1", "6", "6.1", "6.2", "6.3"])
def test_every_class_of_ultrasound_is_withheld(suffix: str) -> None:
    """Also the retired ones, enhanced volumes and photoacoustic images (PS3.4 B.5)."""
    assert "Ultrasound" in str(why_withheld_by_class(f"1.2.840.10008.5.1.4.1.1.{suffix}", None))


@pytest.mark.parametrize("suffix", ["7", "7.1", "7.2", "7.3", "7.4"])
def test_every_class_of_secondary_captures_is_withheld(suffix: str) -> None:
    """One frame, and frames of one bit, grey byte, grey word and true colour (PS3.4 B.5)."""
    assert "Secondary" in str(why_withheld_by_class(f"1.2.840.10008.5.1.4.1.1.{suffix}", "CR"))


@pytest.mark.parametrize("suffix", ["77.1.1", "77.1.1.1", "77.1.2.1", "77.1.4", "77.1.4.1"])
def test_every_class_of_cameras_is_withheld(suffix: str) -> None:
    """Endoscopy and photographs, and videos of endoscopes, microscopes and cameras (PS3.4 B.5)."""
    assert "photographs" in str(why_withheld_by_class(f"1.2.840.10008.5.1.4.1.1.{suffix}", None))


@pytest.mark.parametrize(("modality", "why"), [("OT", "Secondary"), ("SC", "Secondary"), ("ES", "End"), ("XC", "End")])
def test_modalities_of_captures_and_cameras_are_withheld(modality: str, why: str) -> None:
    """Whatever SOP class the image has."""
    assert why in str(why_withheld_by_class(CTImageStorage, modality))


@pytest.mark.parametrize(
    "image_type", ["SCREEN SAVE", "DOSE", "DOSE_INFO", "DOSE REPORT", "CT_SOM5 PROT", "CSA REPORT"]
)
def test_every_mark_of_a_screen_is_withheld(make_dicom: MakeDicom, image_type: str) -> None:
    """Devices write them as a value of ImageType."""
    found = why_withheld(read(make_dicom(ImageType=["DERIVED", "SECONDARY", image_type])).elements)
    assert "capture of a screen" in str(found)


@pytest.mark.parametrize("modality", ["US", "IVUS", "BDUS"])
def test_every_modality_of_ultrasound_is_withheld(modality: str) -> None:
    """Whatever SOP class the image has."""
    assert "Ultrasound" in str(why_withheld_by_class(CTImageStorage, modality))


def test_the_row_of_an_image_says_enough_for_its_kind() -> None:
    """No file is read for an ultrasound image."""
    assert why_withheld_by_class(CTImageStorage, "CT") is None
    assert why_withheld_by_class(None, None) is None
    assert "Ultrasound" in str(why_withheld_by_class(CTImageStorage, "us"))
    assert "Secondary" in str(why_withheld_by_class(SecondaryCaptureImageStorage, "CR"))
    assert why_withheld(None) is None
