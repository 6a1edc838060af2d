"""One picture, written in many ways, gives the same network input, or an outcome that says why not."""

import io
from functools import cache

import numpy as np
import pydicom
import pytest

from metamorphic.axes import AXES, SYNTAXES, Cell
from metamorphic.cells import write
from metamorphic.combinations import Rule, choose_rows
from metamorphic.judge import complaints
from metamorphic.rules import RULES

SHOWN = 20


@cache
def cells(strength: int) -> tuple[Cell, ...]:
    """Return cells in which each possible combination of `strength` levels occurs."""
    return tuple(Cell(*row) for row in choose_rows(AXES, RULES, strength))


def check(strength: int, syntax: str) -> None:
    """Fail with the ids of the cells that are wrong, and the command that shows one again."""
    found = complaints(cell for cell in cells(strength) if cell.syntax == syntax)
    advice = "Try one alone: python -m tests.metamorphic check ID"
    assert not found, "\n".join([f"{len(found)} cells are wrong. {advice}", *found[:SHOWN]])


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_each_pair_of_levels_shows_the_same_picture(syntax: str) -> None:
    """About 820 files, each with one level of each axis."""
    check(2, syntax)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_each_three_levels_show_the_same_picture(syntax: str) -> None:
    """About 10,900 files."""
    check(3, syntax)


def test_all_pairs_occur_and_only_possible_rows() -> None:
    """Of 2 x 2 x 2 levels, a rule forbids one pair; the other eleven pairs need four rows."""
    axes = {"a": ("a1", "a2"), "b": ("b1", "b2"), "c": ("c1", "c2")}
    rule = Rule(("a", "b"), lambda a, b: (a, b) != ("a1", "b1"))

    rows = list(choose_rows(axes, [rule], 2))

    pairs = {(one, other) for row in rows for one in row for other in row if one < other}
    every = {(one, other) for one in ("a1", "a2") for other in ("b1", "b2", "c1", "c2")}
    every |= {(one, other) for one in ("b1", "b2") for other in ("c1", "c2")}
    assert pairs == every - {("a1", "b1")}
    assert all(rule.holds(*row[:2]) for row in rows)


def test_a_pair_that_no_row_can_hold_is_left_out() -> None:
    """a1 permits only b1, and c1 only b2, so a1 and c1 never meet."""
    axes = {"a": ("a1", "a2"), "b": ("b1", "b2"), "c": ("c1", "c2")}
    rules = [
        Rule(("a", "b"), lambda a, b: a == "a2" or b == "b1"),
        Rule(("b", "c"), lambda b, c: c == "c2" or b == "b2"),
    ]
    assert all(not {"a1", "c1"} <= set(row) for row in choose_rows(axes, rules, 2))


def test_an_id_names_its_cell_and_no_other() -> None:
    """The id lists the levels that differ from the plainest cell."""
    assert Cell.from_id("syntax=rle,bits=8") == Cell(syntax="rle", bits="8")
    assert all(Cell.from_id(cell.id) == cell for cell in cells(2))
    assert len({cell.id for cell in cells(2)}) == len(cells(2))


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big", "deflated", "rle", "jpegls80", "j2k90"])
def test_pydicom_reads_the_same_stored_values_from_lawful_files(syntax: str) -> None:
    """A check of the writer by a reader that shares no code with it."""
    native = syntax in ("implicit", "explicit", "big", "deflated")
    precision = "uncoded" if native or syntax == "rle" else "stored"
    cell = Cell(syntax=syntax, frames="3", precision=precision, items="uncoded" if native else "table", size="odd")
    written = write(cell)

    dataset = pydicom.dcmread(io.BytesIO(written.data))

    assert np.array_equal(dataset.pixel_array, np.stack([frame.stored for frame in written.frames]))
