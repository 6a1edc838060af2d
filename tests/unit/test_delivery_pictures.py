"""Key images and heat maps: what they show, what they say, and of which images they are not made."""

import io
import sqlite3
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import modified_phantom, phantom
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, UltrasoundImageStorage
from test_delivery_report import PHANTOM, RESULT, REVISION

from db.queries import OriginalFile
from delivery.evidence import Evidence
from delivery.explaining.drawing import draw
from delivery.explaining.heat_map import has_position, heat_map
from delivery.explaining.key_image import key_image
from delivery.explaining.messages import ExplainRequest
from delivery.explaining.names_in_pixels import may_show_names
from imaging.dicom_image import Frame
from imaging.errors import RejectDicomImage
from imaging.own_results import is_own_picture
from imaging.read import read
from nightread.reasons import Reason
from nightread.uids import own_series_uid

STUDY = str(PHANTOM.StudyInstanceUID)
SQUARE = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
FILE = OriginalFile(
    image_id=1,
    source="ward",
    root="/x",
    uri="1.dcm",
    content=None,
    sop_instance_uid=RESULT.sop_instance_uid,
    marked=False,
)


def request(**fields: Any) -> ExplainRequest:
    """Return a request for both objects."""
    values: dict[str, Any] = {
        "result": RESULT,
        "study_instance_uid": STUDY,
        "original": FILE,
        "can_explain": True,
        "uids": {"key_image": "2.25.21", "heat_map": "2.25.22"},
        "number": 3,
        "made_at": REVISION.made_at,
        "not_for_diagnosis": True,
        "burned_in": False,
    }
    return ExplainRequest(**values | fields)


def header(**elements: object) -> Dataset:
    """Return the header of a phantom; keywords replace elements, None removes one."""

    def change(dataset: FileDataset) -> None:
        for keyword, value in elements.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)

    return pydicom.dcmread(io.BytesIO(modified_phantom(1, change)), stop_before_pixels=True)


def grey(rows: int = 64, columns: int = 64) -> Frame:
    """Return a frame that is grey all over."""
    return Frame(index=0, stored=np.full((rows, columns), 128, np.uint8), bits_stored=8)


def made(evidence: Evidence | None = None, **fields: Any) -> Dataset:
    """Make a key image, and read it as a receiver does."""
    of = fields.pop("header", None) or header()
    return pydicom.dcmread(io.BytesIO(key_image(request(**fields), grey(), None, evidence, of)))


def test_a_key_image_belongs_to_study_and_patient_of_its_source() -> None:
    """It is a secondary capture in a series of its own, and names the image that it shows."""
    picture = made()

    assert picture.SOPClassUID == picture.file_meta.MediaStorageSOPClassUID == SecondaryCaptureImageStorage
    assert (picture.SOPInstanceUID, picture.InstanceNumber) == ("2.25.21", 3)
    assert (picture.PatientName, picture.PatientID, picture.StudyInstanceUID) == (
        PHANTOM.PatientName,
        PHANTOM.PatientID,
        STUDY,
    )
    assert picture.SeriesInstanceUID == own_series_uid("key images", STUDY)
    assert picture.SeriesDescription == "AI key images - NOT FOR DIAGNOSIS"
    (source,) = picture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == PHANTOM.SOPInstanceUID
    assert (list(picture.ImageType), picture.BurnedInAnnotation) == (["DERIVED", "SECONDARY"], "NO")


def test_stamp_label_and_outline_are_in_the_pixels() -> None:
    """For a PACS that shows nothing but pictures. The bars around the frame hold the words."""
    plain, outlined = made(), made(Evidence(frame=None, regions=(SQUARE,)))

    assert plain.pixel_array.shape == (512 + 3 * 34, 512, 3)
    assert plain.pixel_array[:34].max() > 200
    assert plain.pixel_array[-68:].max() > 200
    changed = (plain.pixel_array != outlined.pixel_array).any(axis=2)[34:-68]
    down, across = np.nonzero(changed)
    assert (across.min() // 8, across.max() // 8) == (9, 30)  # pixels of the source are drawn eight times as large
    assert (down.min() // 8, down.max() // 8) == (9, 30)
    assert plain.DerivationDescription.startswith("AI - NOT FOR DIAGNOSIS: ")
    assert made(not_for_diagnosis=False).SeriesDescription == "AI key images"


@pytest.mark.parametrize(("rows", "columns"), [(4000, 3000), (1, 700), (700, 2), (100, 100)])
def test_any_size_can_be_drawn(rows: int, columns: int) -> None:
    """The longer side has 512 to 1024 pixels; the stamp is made smaller rather than cut off."""
    picture = draw(grey(rows, columns), None, stamp="AI - NOT FOR DIAGNOSIS", lines=("Ödem 12 %", "肿块"))
    assert 512 <= max(picture.shape[0] - 3 * 34, picture.shape[1]) <= 1024


@pytest.mark.parametrize(
    ("elements", "may"),
    [
        ({}, False),
        ({"BurnedInAnnotation": "NO"}, False),
        ({"BurnedInAnnotation": None}, False),
        ({"BurnedInAnnotation": "YES"}, True),
        ({"BurnedInAnnotation": "UNKNOWN"}, True),
        ({"SOPClassUID": UltrasoundImageStorage}, True),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, True),
        ({"Modality": "us"}, True),
        ({"Modality": "ES"}, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True),
        ({"ConversionType": "SD"}, True),
        ({"SOPClassUID": "1.2.276.99", "Modality": None}, False),
    ],
)
def test_names_in_the_pixels_are_suspected(elements: dict[str, object], may: bool) -> None:
    """By what the image says, and for the kinds that seldom say so."""
    assert may_show_names(header(**elements)) is may


def test_a_key_image_of_suspect_pixels_says_so() -> None:
    """It is made only if the destination allows it, and must not be taken for a picture without names."""
    assert made(header=header(BurnedInAnnotation="YES")).BurnedInAnnotation == "YES"


def test_a_lossy_source_makes_a_lossy_key_image() -> None:
    """Whether compression lost something must stay visible (PS3.3, C.7.6.1.1.5)."""
    lossy = header(LossyImageCompression="01", LossyImageCompressionRatio=12.5)
    assert (made(header=lossy).LossyImageCompression, made(header=lossy).LossyImageCompressionRatio) == ("01", 12.5)


POSITION: dict[str, Any] = {
    "FrameOfReferenceUID": "2.25.5",
    "ImagePositionPatient": [0, 0, 0],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.5, 0.5],
    "SliceThickness": 5,
}


@pytest.mark.filterwarnings("ignore")
def test_a_heat_map_is_a_parametric_map_of_class_activation() -> None:
    """Its values are those of the heat; quantity, source and position are those of the standard."""
    slice_ = header(**POSITION, SOPClassUID=CTImageStorage, Modality="CT")
    assert has_position(slice_)
    heat = np.zeros((slice_.Rows, slice_.Columns), np.float32)
    heat[5, 7] = 0.75

    picture = pydicom.dcmread(io.BytesIO(heat_map(request(), heat, slice_)))

    assert (picture.SOPInstanceUID, picture.SeriesInstanceUID) == ("2.25.22", own_series_uid("heat maps", STUDY))
    assert picture.SeriesDescription == "AI heat maps - NOT FOR DIAGNOSIS"
    values = np.frombuffer(picture.FloatPixelData, np.float32).reshape(picture.Rows, picture.Columns)
    assert (values == heat).all()
    (mapping,) = picture.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "130403"
    assert (picture.FrameOfReferenceUID, picture.PatientID) == ("2.25.5", PHANTOM.PatientID)
    assert picture.Manufacturer == "nightread"


@pytest.mark.filterwarnings("ignore")
def test_a_heat_map_leaves_no_database_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 warns of the one in memory that highdicom never closes, while something else runs."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def recorded(name: str) -> sqlite3.Connection:
        opened.append(connect(name))
        return opened[-1]

    monkeypatch.setattr("sqlite3.connect", recorded)
    slice_ = header(**POSITION, SOPClassUID=CTImageStorage, Modality="CT")
    heat_map(request(), np.zeros((slice_.Rows, slice_.Columns), np.float32), slice_)

    (database,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_a_projection_has_no_heat_map() -> None:
    """A parametric map needs a frame of reference; a DX has none."""
    assert not has_position(header())


def test_own_pictures_are_recognised() -> None:
    """By the manufacturer, or, if a store has replaced it, by the series; other secondary captures are images."""
    file = key_image(request(), grey(), None, None, header())
    renamed, foreign = pydicom.dcmread(io.BytesIO(file)), pydicom.dcmread(io.BytesIO(file))
    renamed.Manufacturer = foreign.Manufacturer = "ARCHIVE"
    foreign.SeriesInstanceUID = "1.2.3"

    for own in (file, _written(renamed)):
        with pytest.raises(RejectDicomImage) as rejected:
            read(own)
        assert rejected.value.reason is Reason.OWN_RESULT
    image = read(_written(foreign))
    assert image.elements is not None
    assert not is_own_picture(image.elements)
    assert read(phantom(1)).frame_count == 1


def test_the_frame_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words below the picture, and in the reference to the source."""
    said: list[tuple[str, str]] = []

    def remember(*_: object, lines: tuple[str, str], **__: object) -> np.ndarray:
        said.append(lines)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("delivery.explaining.key_image.draw", remember)
    result = replace(RESULT, strongest_frame=7)
    picture = pydicom.dcmread(io.BytesIO(key_image(request(result=result), grey(), 7, None, header())))

    assert said == [("nodule 87.5 %  frame 7  model phantom@1.0", "no region was computed")]
    assert picture.SourceImageSequence[0].ReferencedFrameNumber == 7


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
