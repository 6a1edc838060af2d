"""A data set is described before it is used."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cli.models.data_options import describe, open_and_describe
from models.datasets.arrays import array_examples, array_spec
from models.datasets.dataset import Dataset
from nightread.errors import UsageFault
from nightread.reasons import Reason

PIXELS = np.zeros((6, 4, 4), np.uint8)


def test_parts_labels_split_and_unreadable_files_are_described() -> None:
    """There is one line per part, brackets in labels are printed literally, and unreadable files have a reason."""
    flags = np.array([[1, 0], [1, 1], [0, 1]] * 2, np.float32)
    part = array_examples(PIXELS, flags, name="x")
    console = Console(file=StringIO())
    data = Dataset(
        reference="dicom:[bold]/scans",
        labels=("[red]", "edema"),
        exclusive=False,
        split="patient",
        train=part,
        validation=part,
        test=part,
        native_spec=array_spec(PIXELS),
        unreadable={Reason.TRUNCATED: 1200},
    )

    describe(data, console)

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "dicom:[bold]/scans: 2 labels, any number of labels per image; 4 x 4 x 1"
    assert lines[1].split() == ["part", "images", "[red]", "edema"]
    assert lines[2].split() == ["train", "6", "4", "4"]
    assert lines[5] == "split: patient"
    assert lines[6].startswith("left out: 1,200 files, truncated: The file ends")


def test_nothing_is_printed_for_data_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error comes first: a description of missing data would be wrong."""
    console = Console(file=StringIO())
    with pytest.raises(UsageFault, match="no such file"):
        open_and_describe(f"npz:{tmp_path}/x.npz", None, 0, console)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
