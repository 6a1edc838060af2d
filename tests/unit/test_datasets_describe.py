"""What is told about data before they are used."""

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


def test_parts_labels_split_and_losses_are_told() -> None:
    """One line per part; a label in brackets is no markup; files that were left out come with their reason."""
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

    told = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert told[0] == "dicom:[bold]/scans: 2 labels, any number of labels per image; 4 x 4 x 1"
    assert told[1].split() == ["part", "images", "[red]", "edema"]
    assert told[2].split() == ["train", "6", "4", "4"]
    assert told[5] == "split: patient"
    assert told[6].startswith("left out: 1,200 files, truncated: The file ends")


def test_a_fault_is_not_described(tmp_path: Path) -> None:
    """Nothing is printed before the data are open."""
    console = Console(file=StringIO())
    with pytest.raises(UsageFault, match="no such file"):
        open_and_describe(f"npz:{tmp_path}/x.npz", None, 0, console)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
