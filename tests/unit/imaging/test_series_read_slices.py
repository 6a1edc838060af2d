"""The geometry of slices is read from single-frame objects and from functional groups."""

import io
from typing import Any

import pytest
from explicit_elements import data_set, element, sequence
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian

from imaging import tags
from imaging.header import read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.series.arrange import arrange
from imaging.series.read_slices import read_slices
from imaging.series.slice_geometry import SliceGeometry, StackAttributes
from imaging.stored_geometry import geometry_text, stored_slices

AXIAL = [1, 0, 0, 0, 1, 0]


def described(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, Sequence(value) if isinstance(value, list) and isinstance(value[0], Dataset) else value)
    return dataset


def slices_of(dataset: Dataset, frames: int = 1) -> tuple[SliceGeometry, ...]:
    dataset.SOPClassUID, dataset.SOPInstanceUID = EnhancedMRImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = 64, 32
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta), enforce_file_format=True)
    return read_slices(read_header(buffer.getvalue(), DEFAULT_LIMITS).elements, frames=frames, key=9)


def test_a_single_frame_is_one_slice() -> None:
    """Everything is at the top level."""
    dataset = described(
        ImagePositionPatient=[-100, -90.5, 12.25],
        ImageOrientationPatient=AXIAL,
        PixelSpacing=[0.5, 0.6],
        SliceThickness=3,
        InstanceNumber=17,
        AcquisitionNumber=2,
        TemporalPositionIdentifier=4,
        EchoNumbers=1,
        EchoTime=30.5,
        DiffusionBValue=800.0,
        DiffusionGradientOrientation=[0.0, 0.6, 0.8],
        TriggerTime=120,
        ContrastBolusAgent="IODINE",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
    attributes = StackAttributes(
        temporal_position=4,
        echo_number=1,
        echo_time=30.5,
        b_value=800.0,
        contrast="IODINE",
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
        acquisition_number=2,
        trigger_time=120.0,
        gradient_direction=(0.0, 0.6, 0.8),
    )
    assert slices_of(dataset) == (
        SliceGeometry(
            key=9,
            position=(-100.0, -90.5, 12.25),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            rows=64,
            columns=32,
            pixel_spacing=(0.5, 0.6),
            slice_thickness=3.0,
            instance_number=17,
            sop_instance_uid="1.2.3",
            attributes=attributes,
        ),
    )


def frame(height: float, **further: Any) -> Dataset:
    content = described(StackID="1", TemporalPositionIndex=3, FrameAcquisitionNumber=5)
    place = described(ImagePositionPatient=[0, 0, height])
    return described(FrameContentSequence=[content], PlanePositionSequence=[place], **further)


def test_the_frames_of_an_enhanced_object_are_slices() -> None:
    """What all frames share is in the shared groups; a value of the frame counts more."""
    shared = described(
        PlaneOrientationSequence=[described(ImageOrientationPatient=AXIAL)],
        PixelMeasuresSequence=[described(PixelSpacing=[0.7, 0.7], SliceThickness=2)],
        MREchoSequence=[described(EffectiveEchoTime=30.0)],
        MRImageFrameTypeSequence=[described(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        ContrastBolusUsageSequence=[
            described(ContrastBolusAgentAdministered="YES", ContrastBolusAgentPhase="ARTERIAL")
        ],
    )
    direction = described(DiffusionGradientOrientation=[1.0, 0.0, 0.0])
    diffusion = described(DiffusionBValue=1000.0, DiffusionGradientDirectionSequence=[direction])
    frames = [
        frame(4.0),
        frame(2.0, MREchoSequence=[described(EffectiveEchoTime=60.0)]),
        frame(
            0.0,
            MRDiffusionSequence=[diffusion],
            CardiacSynchronizationSequence=[described(NominalCardiacTriggerDelayTime=40.0)],
        ),
    ]
    dataset = described(
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
        ImageType=["DERIVED", "PRIMARY"],
        InstanceNumber=1,
    )
    slices = slices_of(dataset, frames=3)
    assert [(piece.key, piece.frame, piece.position) for piece in slices] == [
        (9, 0, (0.0, 0.0, 4.0)),
        (9, 1, (0.0, 0.0, 2.0)),
        (9, 2, (0.0, 0.0, 0.0)),
    ]
    first = slices[0].attributes
    assert first == StackAttributes(
        stack_id="1",
        temporal_position=3,
        echo_time=30.0,
        contrast="YES ARTERIAL",
        image_type="ORIGINAL\\PRIMARY\\VOLUME\\NONE",
        acquisition_number=5,
    )
    assert slices[1].attributes == first._replace(echo_time=60.0)
    assert slices[2].attributes == first._replace(b_value=1000.0, gradient_direction=(1.0, 0.0, 0.0), trigger_time=40.0)
    assert {(piece.pixel_spacing, piece.slice_thickness) for piece in slices} == {((0.7, 0.7), 2.0)}


def test_an_enhanced_object_is_arranged_like_single_frames() -> None:
    """Its frames may be stored in any order."""
    shared = described(PlaneOrientationSequence=[described(ImageOrientationPatient=AXIAL)])
    dataset = described(
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[frame(height) for height in (6.0, 0.0, 2.0, 4.0)],
    )
    (found,) = arrange(slices_of(dataset, frames=4)).stacks
    assert [piece.frame for piece in found.slices] == [1, 2, 3, 0]
    assert found.spacing_mm == 2.0


def test_frames_without_groups_have_no_place() -> None:
    """An ultrasound clip, or more frames than the header describes."""
    assert [piece.position for piece in slices_of(Dataset(), frames=2)] == [None, None]
    short = described(PerFrameFunctionalGroupsSequence=[frame(1.0)])
    assert [piece.position for piece in slices_of(short, frames=2)] == [(0.0, 0.0, 1.0), None]


@pytest.mark.parametrize(
    ("tag", "vr", "value", "field"),
    [
        (tags.IMAGE_POSITION, "DS", "1\\2", "position"),
        (tags.IMAGE_POSITION, "DS", "1\\x\\3", "position"),
        (tags.IMAGE_POSITION, "DS", "1\\2\\1e300", "position"),
        (tags.IMAGE_ORIENTATION, "DS", "1\\0\\0", "orientation"),
        (tags.PIXEL_SPACING, "DS", "0.5", "pixel_spacing"),
        (tags.INSTANCE_NUMBER, "IS", "1.5", "instance_number"),
    ],
    ids=["two numbers", "text", "too large", "half an orientation", "one spacing", "no whole number"],
)
def test_an_invalid_value_is_none(tag: int, vr: str, value: str, field: str) -> None:
    """A slice without a place is left out of the series; its reading fails for no value."""
    (piece,) = read_slices(data_set(element(tag, vr, value)))
    assert getattr(piece, field) is None


@pytest.mark.parametrize("number", ["20261130", "999999999", "1000000000"])
def test_the_stored_geometry_has_the_same_numbers(number: str) -> None:
    """Training reads a slice from its file, serving from its row. Some devices number acquisitions by the date."""
    elements = data_set(
        element(tags.IMAGE_POSITION, "DS", f"1\\2\\{number}"),
        element(tags.INSTANCE_NUMBER, "IS", number),
        element(tags.ACQUISITION_NUMBER, "IS", number),
        element(tags.TRIGGER_TIME, "DS", number),
    )
    text = geometry_text(elements, 1)
    assert text is not None
    assert tuple(stored_slices(text, key=0, sop_instance_uid=None, rows=None, columns=None)) == read_slices(elements)


def test_a_damaged_sequence_keeps_what_is_before_the_damage() -> None:
    """The first frame has its place, the others have none."""
    place = sequence(tags.PLANE_POSITION_SEQUENCE, [element(tags.IMAGE_POSITION, "DS", "1\\2\\3")])
    damaged = element(tags.PLANE_POSITION_SEQUENCE, "SQ", b"damaged!", length=400)
    groups = sequence(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, [place, damaged, place])
    assert [piece.position for piece in read_slices(data_set(groups), frames=3)] == [(1.0, 2.0, 3.0), None, None]
