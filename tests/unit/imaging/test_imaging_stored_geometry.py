"""The geometry of slices as text of the database: the values of each frame, and nothing that the row has itself."""

import json

import pytest
from explicit_elements import data_set, element, numbers, sequence

from imaging import tags
from imaging.series.slice_geometry import SliceGeometry, StackAttributes
from imaging.stored_geometry import geometry_text, stored_slices

POSITION = element(tags.IMAGE_POSITION, "DS", "1\\2\\3")
IN_SEQUENCES = {
    "position": (tags.PLANE_POSITION_SEQUENCE, POSITION, {"position": [1.0, 2.0, 3.0]}),
    "orientation": (
        tags.PLANE_ORIENTATION_SEQUENCE,
        element(tags.IMAGE_ORIENTATION, "DS", "1\\0\\0\\0\\1\\0"),
        {"orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
    ),
    "spacing": (
        tags.PIXEL_MEASURES_SEQUENCE,
        element(tags.PIXEL_SPACING, "DS", "0.5\\0.25"),
        {"pixel_spacing": [0.5, 0.25]},
    ),
    "stack": (tags.FRAME_CONTENT_SEQUENCE, element(tags.STACK_ID, "SH", "A"), {"attributes": {"stack_id": "A"}}),
    "echo": (
        tags.MR_ECHO_SEQUENCE,
        element(tags.EFFECTIVE_ECHO_TIME, "DS", "30"),
        {"attributes": {"echo_time": 30.0}},
    ),
    "diffusion": (
        tags.MR_DIFFUSION_SEQUENCE,
        element(tags.B_VALUE, "DS", "800"),
        {"attributes": {"b_value": 800.0}},
    ),
    "heart": (
        tags.CARDIAC_SYNCHRONIZATION_SEQUENCE,
        element(tags.CARDIAC_TRIGGER_DELAY, "DS", "40"),
        {"attributes": {"trigger_time": 40.0}},
    ),
    "contrast": (
        tags.CONTRAST_USAGE_SEQUENCE,
        element(tags.CONTRAST_ADMINISTERED, "CS", "YES"),
        {"attributes": {"contrast": "YES"}},
    ),
    "type of CT": (0x00189329, element(tags.FRAME_TYPE, "CS", "AXIAL"), {"attributes": {"image_type": "AXIAL"}}),
    "type of MR": (0x00189226, element(tags.FRAME_TYPE, "CS", "DIXON"), {"attributes": {"image_type": "DIXON"}}),
    "type of PET": (0x00189751, element(tags.FRAME_TYPE, "CS", "BED"), {"attributes": {"image_type": "BED"}}),
}


@pytest.mark.parametrize(("tag", "value", "expected"), IN_SEQUENCES.values(), ids=list(IN_SEQUENCES))
@pytest.mark.parametrize(
    "around", [None, tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE]
)
def test_one_frame_may_have_its_values_in_sequences(
    tag: int, value: bytes, expected: dict[str, object], around: int | None
) -> None:
    """Of an Enhanced object with one frame, also if a writer put the sequences at the top level."""
    group = sequence(tag, [value])
    text = geometry_text(data_set(group if around is None else sequence(around, [group])), 1)
    assert text is not None
    assert json.loads(text) == [{"attributes": {}} | expected]


def test_each_frame_has_its_values() -> None:
    """In the order of the frames, without those that the row of the image has."""
    groups = [
        sequence(tags.PLANE_POSITION_SEQUENCE, [element(tags.IMAGE_POSITION, "DS", f"0\\0\\{z}")]) for z in (5, 7)
    ]
    elements = data_set(
        numbers(tags.ROWS, 64),
        numbers(tags.COLUMNS, 32),
        element(tags.INSTANCE_NUMBER, "IS", "4"),
        sequence(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, groups),
    )
    text = geometry_text(elements, 3)
    assert text is not None
    assert json.loads(text) == [
        {"position": [0.0, 0.0, 5.0], "instance_number": 4, "attributes": {}},
        {"position": [0.0, 0.0, 7.0], "instance_number": 4, "attributes": {}},
        {"instance_number": 4, "attributes": {}},
    ]


def test_the_row_completes_the_stored_values() -> None:
    """Key, UID and size come from the row, and the number of the frame from its place in the list."""
    text = geometry_text(data_set(POSITION, element(tags.ACQUISITION_NUMBER, "IS", "3")), 1)
    assert text is not None
    assert json.loads(text) == [{"position": [1.0, 2.0, 3.0], "attributes": {"acquisition_number": 3}}]
    two = json.dumps(json.loads(text) * 2)
    assert list(stored_slices(two, key=9, sop_instance_uid="1.2", rows=64, columns=32)) == [
        SliceGeometry(
            key=9,
            frame=frame,
            position=(1.0, 2.0, 3.0),
            orientation=None,
            rows=64,
            columns=32,
            pixel_spacing=None,
            slice_thickness=None,
            instance_number=None,
            sop_instance_uid="1.2",
            attributes=StackAttributes(acquisition_number=3),
        )
        for frame in (0, 1)
    ]


def test_a_picture_without_header_has_no_geometry() -> None:
    """PNG and JPEG files."""
    assert geometry_text(None, 1) is None
