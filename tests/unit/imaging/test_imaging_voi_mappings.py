"""Mappings to display values in [0, 1], at their ends; the numbers are those of PS3.3 C.11.2."""

import math

import numpy as np
import pytest

from imaging.voi import SMALLEST_WIDTH, Lut, Ramp, Sigmoid, window

TABLE = Lut(first=-2, bits=4, entries=np.array([3, 6, 9, 15], "<u2").tobytes())


def test_a_ramp_ends_at_0_and_1() -> None:
    """A quarter of its width is 0.25."""
    ramp = Ramp(low=-10, high=30)
    assert ramp(np.array([-11, -10, 0, 30, 31], np.float32)).tolist() == [0, 0, 0.25, 1, 1]
    assert ramp.extent == (-10.0, 30.0)
    assert Ramp(low=5, high=5)(np.array([4.9, 5, 5.1])).tolist() == [0, 0, 1]


def test_a_sigmoid_has_the_ends_of_its_window() -> None:
    """Half of the width on each side of the center."""
    assert Sigmoid(center=10, width=40).extent == (-10.0, 30.0)


def test_a_sigmoid_falls_to_almost_nothing() -> None:
    """1 / (1 + exp(2)) at the lower end; far away it is 1 / (1 + exp(80)), so that no number overflows."""
    sigmoid = Sigmoid(center=10, width=40)
    with np.errstate(over="raise"):
        values = sigmoid(np.array([-10, 10, 30, -1e30, 1e30], np.float32)).tolist()
    assert values[:3] == pytest.approx([1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-2))])
    assert values[3] == pytest.approx(1.805e-35, rel=1e-3)
    assert values[4] == 1


def test_a_table_extends_from_its_first_to_its_last_value() -> None:
    """Four entries from -2 on; 15 is the largest output of 4 bits."""
    assert (TABLE.extent, TABLE.top) == ((-2, 1), 15)
    assert TABLE(np.array([-2, -1, 0, 1], np.float32)).tolist() == pytest.approx([0.2, 0.4, 0.6, 1])


def test_a_table_is_read_at_the_nearest_value() -> None:
    """Outside of the table its ends count; what is no number stays none."""
    outputs = TABLE.outputs(np.array([-9, -1.6, -1.4, 0.4, 9, np.nan, np.inf]))
    assert outputs[:5].tolist() == [3, 3, 6, 9, 15]
    assert np.isnan(outputs[5])
    assert outputs[6] == 15
    assert TABLE.outputs(np.array([[-2, 1]], np.int16)).tolist() == [[3, 15]]


def test_a_mapping_keeps_the_type_of_its_values() -> None:
    """float32 stays float32."""
    for mapping in (Ramp(low=0, high=2), Ramp(low=0, high=0), TABLE):
        for dtype in (np.float32, np.float64):
            assert mapping(np.array([0, 1], dtype)).dtype == dtype


def test_the_note_of_a_table_does_not_count_when_tables_are_compared() -> None:
    """Equal tables have equal pictures."""
    noted = Lut(first=-2, bits=4, entries=TABLE.entries, note="A fault.")
    assert (noted == TABLE, noted.note, TABLE.note) == (True, "A fault.", "")


@pytest.mark.parametrize(
    ("width", "function", "expected"),
    [
        (100, None, Ramp(low=-10, high=89)),
        (100, "", Ramp(low=-10, high=89)),
        (100, "LINEAR", Ramp(low=-10, high=89)),
        (100, "OTHER", Ramp(low=-10, high=89)),
        (100, "LINEAR_EXACT", Ramp(low=-10, high=90)),
        (100, "linear_exact", Ramp(low=-10, high=90)),
        (100, "SIGMOID", Sigmoid(center=40, width=100)),
        (100, "Sigmoid", Sigmoid(center=40, width=100)),
        (0.5, "SIGMOID", Sigmoid(center=40, width=0.5)),
        (1, None, Ramp(low=39.5, high=39.5)),
        (0.5, None, Ramp(low=39.75, high=40.25)),
        (2, None, Ramp(low=39, high=40)),
        (0, None, None),
        (-1, "LINEAR_EXACT", None),
        (math.nan, "SIGMOID", None),
    ],
)
def test_a_window_around_40(width: float, function: str | None, expected: object) -> None:
    """LINEAR is shifted by half a value and has one value less than its width (C.11.2.1.2.1)."""
    assert window(40, width, function) == expected


def test_the_smallest_width_is_far_below_every_real_one() -> None:
    """1e-20 is a width; the next smaller number is none."""
    assert SMALLEST_WIDTH == 1e-20
    assert window(0, 1e-20, None) == Ramp(low=-0.5e-20, high=0.5e-20)
    assert window(0, math.nextafter(1e-20, 0), None) is None
