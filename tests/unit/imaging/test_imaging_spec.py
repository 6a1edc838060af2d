"""Which inputs of a network can be described, and how they are written into a bundle."""

import math
from typing import Any

import pytest

from imaging.spec import InputSpec, Intensity

FULL = Intensity(kind="full")


def spec(**values: Any) -> InputSpec:
    """Return the input of a network of 4 x 6 pixels in colours, with these values."""
    usual: dict[str, Any] = {"height": 4, "width": 6, "channels": 3, "intensity": FULL}
    return InputSpec(**usual | values)


def test_only_the_shape_and_the_intensity_have_no_default() -> None:
    """The pixels are averaged into 0 to 1, in RGB."""
    assert spec() == InputSpec(
        height=4, width=6, channels=3, intensity=Intensity(kind="full", low=None, high=None, unusable="full"),
        interpolation="area", aspect="stretch", scale_low=0.0, scale_high=1.0, mean=None, std=None,
        channel_order="rgb",
    )  # fmt: skip
    assert spec().shape == (4, 6, 3)


@pytest.mark.parametrize("kind", ["window", "percentile"])
@pytest.mark.parametrize(("low", "high"), [(None, None), (None, 5), (5, None), (5, 5), (6, 5)])
def test_a_range_needs_two_ends_that_ascend(kind: str, low: float | None, high: float | None) -> None:
    """The message has both."""
    with pytest.raises(ValueError, match=f"^InputSpec: intensity {kind} requires low < high, not {low}..{high}$"):
        Intensity(kind=kind, low=low, high=high)
    assert Intensity(kind=kind, low=4, high=5).high == 5


@pytest.mark.parametrize("kind", ["voi", "full"])
def test_other_intensities_need_no_range(kind: str) -> None:
    """It is not used."""
    for low, high in ((None, None), (6, 5)):
        assert Intensity(kind=kind, low=low, high=high).kind == kind


@pytest.mark.parametrize("unusable", ["full", "refuse"])
def test_a_mapping_by_the_header_may_refuse(unusable: str) -> None:
    """It may take the full range, too."""
    assert Intensity(kind="voi", unusable=unusable).unusable == unusable


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interpolation": "best"}, "interpolation is 'best'; allowed: area, linear, cubic, nearest"),
        ({"aspect": "fit"}, "aspect is 'fit'; allowed: stretch, pad, crop"),
        ({"channels": 2}, "channels is 2; allowed: 1, 3"),
        ({"channels": 4}, "channels is 4; allowed: 1, 3"),
        ({"channels": 0}, "channels is 0; allowed: 1, 3"),
        ({"channel_order": "gbr"}, "channel_order is 'gbr'; allowed: rgb, bgr"),
        ({"channels": 1, "channel_order": "bgr"}, "channel_order is 'bgr'; allowed: rgb"),
        ({"height": 0}, "size 0 x 6 is not positive"),
        ({"width": 0}, "size 4 x 0 is not positive"),
        ({"mean": (1.0, 2.0)}, "mean has 2 values for 3 channels"),
        ({"std": (1.0,)}, "std has 1 values for 3 channels"),
        ({"std": ()}, "std has 0 values for 3 channels"),
        ({"std": (1.0, 0.0, 1.0)}, "std is a divisor, so each value must be positive"),
        ({"std": (1.0, 1.0, math.nan)}, "std holds a number that is not finite"),
        ({"mean": (math.inf, 1.0, 1.0)}, "mean holds a number that is not finite"),
        ({"scale_low": -math.inf}, "scale holds a number that is not finite"),
        ({"scale_high": math.nan}, "scale holds a number that is not finite"),
        ({"scale_low": 1.0, "scale_high": 1.0}, r"scale 1\.0\.\.1\.0 makes all images equal"),
        ({"height": 65_536}, "size 65536 x 6 is not a whole number up to 65535"),
        ({"width": 6.0}, "size 4 x 6.0 is not a whole number up to 65535"),
    ],
)
def test_an_impossible_value_is_named(values: dict[str, Any], message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ValueError, match=f"^InputSpec: {message}$"):
        spec(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "auto"}, "intensity is 'auto'; allowed: window, voi, percentile, full"),
        ({"kind": "voi", "unusable": "guess"}, "intensity unusable is 'guess'; allowed: full, refuse"),
        ({"kind": "full", "unusable": "refuse"}, "intensity unusable is 'refuse'; allowed: full"),
        ({"kind": "window", "low": 0, "high": math.inf}, "intensity holds a number that is not finite"),
    ],
)
def test_an_impossible_intensity_is_named(values: dict[str, Any], message: str) -> None:
    """Only a mapping by the header can be unusable."""
    with pytest.raises(ValueError, match=f"^InputSpec: {message}$"):
        Intensity(**values)


@pytest.mark.parametrize(
    "values",
    [
        *({"interpolation": each} for each in ("area", "linear", "cubic", "nearest")),
        *({"aspect": each} for each in ("stretch", "pad", "crop")),
        {"channels": 1},
        {"channel_order": "bgr"},
        {"height": 1, "width": 1},
        {"height": 65_535},
        {"mean": (1.0, 2.0, 3.0), "std": (1.0, 1.0, 1.0)},
    ],
)
def test_a_possible_value_is_kept(values: dict[str, Any]) -> None:
    """It also survives the bundle."""
    assert {name: getattr(spec(**values), name) for name in values} == values
    assert InputSpec.from_json(spec(**values).to_json()) == spec(**values)


def test_defaults_that_older_bundles_lack_are_not_written() -> None:
    """Their digests stay the same."""
    assert spec(mean=(1, 2, 3)).to_json() == {
        "height": 4, "width": 6, "channels": 3, "intensity": {"kind": "full", "low": None, "high": None},
        "interpolation": "area", "aspect": "stretch", "scale_low": 0.0, "scale_high": 1.0, "mean": (1, 2, 3),
        "std": None,
    }  # fmt: skip
    turned = spec(channel_order="bgr", intensity=Intensity(kind="voi", unusable="refuse")).to_json()
    assert (turned["channel_order"], turned["intensity"]["unusable"]) == ("bgr", "refuse")


def test_lists_of_a_bundle_become_tuples_of_floats() -> None:
    """JSON has no tuples; the values of the caller stay as they are."""
    written = spec().to_json() | {"mean": [1, 2, 3], "std": ["4", 5, 6]}
    found = InputSpec.from_json(written)
    assert (found.mean, found.std) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert written["intensity"] == {"kind": "full", "low": None, "high": None}
    del written["mean"], written["std"]
    assert InputSpec.from_json(written) == spec()
