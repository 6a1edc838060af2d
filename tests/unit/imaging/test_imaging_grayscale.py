"""Which group of a header gives rescale and VOI of a frame (PS3.3 C.7.6.16.2), one condition at a time."""

import struct
from itertools import islice

import pytest
from explicit_elements import data_set, element, numbers, sequence
from layouts import grey_words

from imaging.elements import Elements
from imaging.grayscale import Grayscale, read_grayscales
from imaging.pixel_layout import PixelLayout
from imaging.remarks import Remark, Remarks
from imaging.voi import Lut, Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

SHARED, PER_FRAME, TRANSFORMATION, FRAME_VOI = 0x52009229, 0x52009230, 0x00289145, 0x00289132
CENTER, WIDTH, SLOPE, INTERCEPT = 0x00281050, 0x00281051, 0x00281053, 0x00281052
MODALITY_TABLES, VOI_TABLES, DESCRIPTOR, DATA = 0x00283000, 0x00283010, 0x00283002, 0x00283006
TWELVE = grey_words(bits_stored=12, high_bit=11)


def rescale(slope: str, intercept: str = "") -> bytes:
    """Return the elements of a rescale."""
    texts = element(INTERCEPT, "DS", intercept) if intercept else b""
    return texts + element(SLOPE, "DS", slope)


def window(center: str, width: str = "1") -> bytes:
    """Return the elements of a window; one that is 1 wide is a step at its center - 0.5."""
    return element(CENTER, "DS", center) + element(WIDTH, "DS", width)


def step(center: float) -> Ramp:
    """Return the mapping of `window(center)`."""
    return Ramp(low=center - 0.5, high=center - 0.5)


def table(first: int, *values: int) -> bytes:
    """Return an item with a table of 16-bit words."""
    return numbers(DESCRIPTOR, len(values), first, 16) + element(DATA, "OW", struct.pack(f"<{len(values)}H", *values))


def group(modality: bytes | None = None, voi: bytes | None = None) -> bytes:
    """Return the functional groups of a frame, or of all frames."""
    groups = b"" if voi is None else sequence(FRAME_VOI, [voi])
    return groups + (b"" if modality is None else sequence(TRANSFORMATION, [modality]))


def header(*top: bytes, shared: bytes | None = None, frames: list[bytes] | None = None) -> Elements:
    """Return a header with elements at the top level, shared groups and groups of frames."""
    groups = b"" if shared is None else sequence(SHARED, [shared])
    return data_set(*top, groups, b"" if frames is None else sequence(PER_FRAME, frames))


def grayscales(elements: Elements, frames: int = 1, layout: PixelLayout = TWELVE) -> list[Grayscale]:
    """Return the grayscale parameters of the frames."""
    layout = grey_words(frames=frames, bits_stored=layout.bits_stored, high_bit=layout.high_bit)
    return list(islice(read_grayscales(elements, layout, Remarks()), frames))


def test_the_top_level_is_that_of_all_frames() -> None:
    """Each value comes from its element."""
    found = grayscales(header(numbers(0x00280120, 7), window("10"), rescale("2", "-5")), 2)
    assert found == [Grayscale(slope=2, intercept=-5, voi=step(10), padding=(7, 7))] * 2
    assert grayscales(header()) == [Grayscale()]


def test_faults_and_notes_of_the_voi_are_kept() -> None:
    """One window has no width, another one has two centers."""
    (without_width,) = grayscales(header(element(CENTER, "DS", "10")))
    assert without_width == Grayscale(voi_fault="The window (0028,1050) lacks its center or its width.")
    (two,) = grayscales(header(window("10\\20")))
    assert two.voi == step(10)
    assert two.voi_note.startswith("The window (0028,1050) has different numbers of centers (2) and widths (1)")


def test_shared_groups_win_over_the_top_level() -> None:
    """Rescale and window are searched for separately."""
    top = window("10"), rescale("2")
    assert grayscales(header(*top, shared=group(rescale("3"), window("30")))) == [Grayscale(slope=3, voi=step(30))]
    assert grayscales(header(*top, shared=group(rescale("3")))) == [Grayscale(slope=3, voi=step(10))]
    assert grayscales(header(*top, shared=group(None, window("30")))) == [Grayscale(slope=2, voi=step(30))]
    assert grayscales(header(*top, shared=b"")) == [Grayscale(slope=2, voi=step(10))]
    assert grayscales(header(*top, group(rescale("4"), window("40")))) == [Grayscale(slope=4, voi=step(40))]


def test_the_group_of_a_frame_wins_over_the_shared_ones() -> None:
    """The second frame has a window of its own, the third a rescale, and the fourth nothing."""
    frames = [
        group(rescale("5"), window("50")),
        group(None, window("60")),
        group(rescale("7")),
        group(),
    ]
    found = grayscales(header(window("10"), rescale("2"), shared=group(rescale("3")), frames=frames), 4)
    assert [(each.slope, each.voi) for each in found] == [(5, step(50)), (3, step(60)), (7, step(10)), (3, step(10))]


def test_frames_without_a_group_have_the_common_values() -> None:
    """There are three frames and one group."""
    found = grayscales(header(window("10"), rescale("2", "1"), frames=[group(rescale("5"))]), 3)
    assert [(each.slope, each.intercept) for each in found] == [(5, 0), (2, 1), (2, 1)]
    assert [each.slope for each in grayscales(header(rescale("2"), frames=[]), 2)] == [2, 2]


@pytest.mark.parametrize(
    ("groups", "left_out", "described"),
    [
        (0, False, ""),
        (1, False, "1 of the frames"),
        (2, False, ""),
        (3, False, "more than 2 of the frames"),
        (9, False, "more than 2 of the frames"),
        (3, True, ""),
        (1, True, "1 of the frames"),
        (2, True, ""),
    ],
)
def test_another_number_of_groups_than_of_frames_is_remarked(groups: int, left_out: bool, described: str) -> None:
    """There are two frames. If some were left out at the end, the further groups may be theirs."""
    remarks = Remarks()
    if left_out:
        remarks.add(Remark.FRAMES_LEFT_OUT, "Some.")
    layout = grey_words(frames=2)
    list(islice(read_grayscales(header(frames=[group(rescale("5"))] * groups), layout, remarks), 2))

    expected = [(Remark.FRAMES_LEFT_OUT, "Some.")] if left_out else []
    if described:
        name = "PerFrameFunctionalGroupsSequence (5200,9230)"
        detail = (
            f"{name} describes {described}, but the pixel data hold 2. A frame may have the window of another frame."
        )
        expected.append((Remark.FRAME_GROUPS_DIFFER, detail))
    assert list(remarks) == expected


@pytest.mark.parametrize(
    ("intercepts", "first"), [(("-2", "40"), -2), (("40", "-2"), -2), (("0", "62000"), 65534), (("62000", "0"), 65534)]
)
def test_the_values_of_all_frames_decide_how_a_common_table_begins(intercepts: tuple[str, str], first: int) -> None:
    """12-bit values from -2 to 4135, or from 0 to 66095: only the latter meet a table from 65534 on."""
    frames = [group(rescale("1", intercept)) for intercept in intercepts]
    tables = sequence(VOI_TABLES, [table(65534, 1, 2, 3, 4)])
    for each in grayscales(header(tables, frames=frames), 2):
        assert isinstance(each.voi, Lut)
        assert each.voi.first == first


def test_the_values_of_a_frame_decide_how_its_own_table_begins() -> None:
    """The first frame has negative values, the second one has not."""
    voi = sequence(VOI_TABLES, [table(65534, 1, 2, 3, 4)])
    frames = [group(rescale("1", "-2"), voi), group(rescale("1", "62000"), voi)]
    assert [each.voi.first for each in grayscales(header(frames=frames), 2) if isinstance(each.voi, Lut)] == [-2, 65534]


def test_a_table_of_the_top_level_beside_groups() -> None:
    """It applies where the rescale is 1 and 0, or where the group has none."""
    lut = Lut(first=0, bits=13, entries=struct.pack("<2H", 7, 8000))
    common = sequence(MODALITY_TABLES, [table(0, 7, 8000)])
    frames = [group(rescale("1", "0")), group(rescale("2")), group(rescale("1", "3")), group()]
    found = grayscales(header(common, frames=frames), 4, grey_words(bits_stored=1, high_bit=0))

    assert [(each.slope, each.intercept, each.modality_lut) for each in found] == [
        (1, 0, lut),
        (2, 0, None),
        (1, 3, None),
        (1, 0, lut),
    ]


def test_a_rescale_of_1_and_0_wins_over_that_of_the_top_level() -> None:
    """The group says that there is no rescale; an item without a table or a rescale says nothing."""
    empty = sequence(MODALITY_TABLES, [b""])
    found = grayscales(header(rescale("2"), frames=[group(rescale("1", "0")), group(empty)]), 2)
    assert [each.slope for each in found] == [1, 2]


EMPTY = {
    "empty": element(CENTER, "DS", ""),
    "spaces": element(CENTER, "DS", " " * 64),
    "separators": element(CENTER, "DS", "\\ \\ "),
    "zero bytes": element(CENTER, "DS", b"\x00\x00"),
    "no table": sequence(VOI_TABLES, []),
    "tables without elements": sequence(VOI_TABLES, [b"", b""]),
}


@pytest.mark.parametrize("own", EMPTY.values(), ids=list(EMPTY))
def test_an_empty_value_of_a_frame_is_absent(own: bytes) -> None:
    """Writers leave empty what they do not know: the shared window applies."""
    (found,) = grayscales(header(shared=group(None, window("30")), frames=[group(None, own)]))
    assert found == Grayscale(voi=step(30))


FOUND = {
    "only a width": (element(WIDTH, "DS", "1"), "lacks its center"),
    "empty center": (window("", "1"), "lacks its center"),
    "no number": (window("x"), "not usable numbers"),
    "second table": (sequence(VOI_TABLES, [b"", numbers(DESCRIPTOR, 2, 0, 8)]), "missing or empty"),
    "damaged table": (sequence(VOI_TABLES, [element(DESCRIPTOR, "US", b"\x02\x00", length=900)]), "The file ends"),
}


@pytest.mark.parametrize(("own", "fault"), FOUND.values(), ids=list(FOUND))
def test_a_value_of_a_frame_that_cannot_be_used_hides_the_shared_one(own: bytes, fault: str) -> None:
    """It is another window than the shared one, so that it is reported."""
    (found,) = grayscales(header(frames=[group(None, own)], shared=group(None, window("30"))))
    assert found.voi is None
    assert fault in found.voi_fault


def test_a_long_blank_value_is_not_searched() -> None:
    """It counts as a value, which gives no window."""
    (found,) = grayscales(
        header(shared=group(None, window("30")), frames=[group(None, element(CENTER, "DS", " " * 66))])
    )
    assert found == Grayscale()


@pytest.mark.parametrize("frames", [None, [group()]])
def test_a_number_that_is_too_large_is_a_bad_header(frames: list[bytes] | None) -> None:
    """The detail has the tag."""
    with pytest.raises(RejectImage) as refusal:
        grayscales(header(rescale("1e16"), frames=frames))
    detail = "RescaleSlope (0028,1053) is too large."
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, detail)
