"""Channels show windows of a slice and of its neighbours, with the code of a single channel."""

import json
from dataclasses import replace

import numpy as np
import pytest

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.input_channel import InputChannel
from imaging.prepare import prepare
from imaging.series.prepared_stack import PreparedStack, neighbour
from imaging.spec import InputSpec, Intensity
from nightread.errors import RejectImage
from nightread.reasons import Reason

BRAIN, SUBDURAL, BONE = (0.0, 80.0), (-20.0, 180.0), (-500.0, 1500.0)
PLAIN = InputSpec(height=16, width=12, channels=1, intensity=Intensity(kind="window", low=-100, high=300))


def spec_of(*channels: InputChannel, **changes: object) -> InputSpec:
    return replace(PLAIN, channels=len(channels), meanings=channels, **changes)  # type: ignore[arg-type]


def _at(offset: int) -> InputChannel:
    return InputChannel(offset=offset)


WINDOWS = spec_of(*(InputChannel(window=window) for window in (BRAIN, SUBDURAL, BONE)))
NEIGHBOURS = spec_of(*(InputChannel(offset=offset) for offset in (-1, 0, 1)))
BOTH = spec_of(*(InputChannel(window=window, offset=offset) for window in (BRAIN, BONE) for offset in (-2, 0, 1)))


def ct_frame(index: int) -> Frame:
    """Return random Hounsfield units from -1024 to 1976."""
    stored = np.random.default_rng(index).integers(0, 3000, (64, 48)).astype(np.uint16)
    return Frame(index=0, stored=stored, bits_stored=12, grayscale=Grayscale(intercept=-1024))


def alone(frame: Frame, window: tuple[float, float] | None, **changes: object) -> Array:
    """Return a slice as a network with this one window gets it."""
    own = PLAIN.intensity if window is None else Intensity(kind="window", low=window[0], high=window[1])
    return prepare(frame, replace(PLAIN, intensity=own, **changes))[..., 0]  # type: ignore[arg-type]


def test_each_channel_is_the_slice_in_its_window() -> None:
    """Brain, subdural and bone window: each as in a network with this window alone."""
    prepared = prepare(ct_frame(1), WINDOWS)
    assert (prepared.shape, prepared.dtype) == ((16, 12, 3), np.float32)
    for index, window in enumerate((BRAIN, SUBDURAL, BONE)):
        np.testing.assert_array_equal(prepared[..., index], alone(ct_frame(1), window))


def test_scale_mean_and_deviation_belong_to_channels() -> None:
    """They are applied after the window, as for colours."""
    spec = replace(WINDOWS, scale_low=-1.0, scale_high=1.0, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    out = np.empty(spec.shape, np.float32)
    assert prepare(ct_frame(1), spec, out) is out
    for index, window in enumerate((BRAIN, SUBDURAL, BONE)):
        expected = alone(
            ct_frame(1), window, scale_low=-1.0, mean=((0.1, 0.2, 0.3)[index],), std=((0.5, 1.0, 2.0)[index],)
        )
        np.testing.assert_allclose(out[..., index], expected, atol=1e-6)


@pytest.mark.parametrize("spec", [NEIGHBOURS, BOTH], ids=["neighbours", "both"])
def test_neighbours_are_channels_and_the_ends_repeat(spec: InputSpec) -> None:
    """Five slices; at the first and the last one the missing neighbours are the slice at the end."""
    stack = PreparedStack(ct_frame, 5, spec)
    for index in range(5):
        prepared = stack.prepare(index)
        for number, channel in enumerate(spec.meanings):
            shown = min(max(index + channel.offset, 0), 4)
            np.testing.assert_array_equal(prepared[..., number], alone(ct_frame(shown), channel.window))


@pytest.mark.parametrize(
    "spec",
    [BOTH, spec_of(*map(_at, (0, 1, -1))), spec_of(*map(_at, (2, -2, 0))), spec_of(*map(_at, (0, 3)))],
    ids=["both", "itself-first", "last-first", "behind"],
)
def test_each_slice_is_decoded_once(spec: InputSpec) -> None:
    """Though several channels show it, and in whatever order they name the neighbours."""
    decoded: list[int] = []

    def load(index: int) -> Frame:
        decoded.append(index)
        return ct_frame(index)

    stack = PreparedStack(load, 50, spec)
    for index in range(50):
        stack.prepare(index)
    assert sorted(decoded) == list(range(50))


def test_whole_numbers_make_the_same_digest_as_others() -> None:
    """A bundle with the window 0..80 could not be loaded after it was saved."""
    spec = spec_of(InputChannel(window=(0, 80)))
    written = json.dumps(spec.to_json())
    assert json.dumps(InputSpec.from_json(json.loads(written)).to_json()) == written


def test_a_stack_without_channels_is_prepared_slice_by_slice() -> None:
    """One code for each bundle."""
    np.testing.assert_array_equal(PreparedStack(ct_frame, 3, PLAIN).prepare(2), prepare(ct_frame(2), PLAIN))
    np.testing.assert_array_equal(PreparedStack(ct_frame, 3, WINDOWS).prepare(2), prepare(ct_frame(2), WINDOWS))


def test_a_slice_that_cannot_be_decoded_costs_its_neighbours_too() -> None:
    """Who would rather lose the slice alone leaves it out of the stack."""

    def load(index: int) -> Frame:
        if index == 2:
            raise RejectImage(Reason.BAD_PIXELS)
        return ct_frame(index)

    stack = PreparedStack(load, 6, NEIGHBOURS)
    lost = []
    for index in range(6):
        try:
            stack.prepare(index)
        except RejectImage:
            lost.append(index)
    assert lost == [1, 2, 3]


def test_a_single_image_has_no_neighbours() -> None:
    """A network that needs them would get three times the same slice, which it never saw in training."""
    with pytest.raises(RejectImage, match="neighbouring slices") as rejected:
        prepare(ct_frame(1), NEIGHBOURS)
    assert rejected.value.reason is Reason.OUT_OF_DOMAIN


@pytest.mark.parametrize(
    ("index", "offset", "expected"), [(0, -1, 0), (0, 1, 1), (4, 1, 4), (4, -2, 2), (2, 9, 4), (2, -9, 0)]
)
def test_the_neighbour_is_within_the_stack(index: int, offset: int, expected: int) -> None:
    """Of five slices."""
    assert neighbour(index, offset, 5) == expected


@pytest.mark.parametrize("spec", [PLAIN, WINDOWS, NEIGHBOURS, BOTH], ids=["plain", "windows", "neighbours", "both"])
def test_a_spec_survives_json(spec: InputSpec) -> None:
    """`channels` is one field: a number, or the list of what the channels show."""
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_list_is_short() -> None:
    """What it leaves out has a default; the digest of a bundle without the list does not change."""
    channels = (InputChannel(offset=-1), InputChannel(window=BRAIN))
    assert spec_of(*channels).to_json()["channels"] == [{"offset": -1}, {"window": [0.0, 80.0], "offset": 0}]
    assert PLAIN.to_json()["channels"] == 1
    assert "meanings" not in PLAIN.to_json()


def test_a_channel_without_offset_shows_the_slice_itself() -> None:
    """As docs/series.md says. The farthest slices are 64 before and behind it."""
    written = [{"window": [0, 80]}, {"offset": -64}, {"offset": 64}]
    spec = InputSpec.from_json(PLAIN.to_json() | {"channels": written})
    assert [meaning.offset for meaning in spec.meanings] == [0, -64, 64]


@pytest.mark.parametrize(
    "channels",
    [
        [],
        [{"window": [80, 0]}],
        [{"window": [0, 80, 90]}],
        [{"window": [0, float("inf")]}],
        [{"offset": 1.5}],
        [{"offset": 65}],
        [{"offset": True}],
        [{"level": 40}],
        [7],
    ],
    ids=["none", "empty", "three ends", "infinite", "half", "far", "flag", "unknown", "number"],
)
def test_channels_that_no_slice_could_fill_are_refused(channels: list[object]) -> None:
    """Loading the bundle fails, not the first image."""
    with pytest.raises((TypeError, ValueError)):
        InputSpec.from_json(PLAIN.to_json() | {"channels": channels})


def test_the_list_decides_how_many_channels_there_are() -> None:
    """A number beside it, or an order of colours, would be a second truth."""
    with pytest.raises(ValueError, match="channels"):
        replace(WINDOWS, channels=2)
    with pytest.raises(ValueError, match="channel_order"):
        replace(WINDOWS, channel_order="bgr")


def test_a_person_sees_the_slice_itself() -> None:
    """Pictures of inputs show one channel: the first with offset 0."""
    assert BOTH.shown_channel == 1
    assert BOTH.reach == (-2, 1)
    assert BOTH.of_channel(4).intensity == Intensity(kind="window", low=-500, high=1500)
    assert (PLAIN.of_channel(0), PLAIN.reach, PLAIN.needs_neighbours) == (PLAIN, (0, 0), False)
    assert not WINDOWS.needs_neighbours
