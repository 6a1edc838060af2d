"""Compare nightread's header reader with pydicom: `python -m benchmarks.header_walk`.

The readers take turns. All of them read the same facts from the same bytes in memory. The figures are in
docs/decisions/0005-own-header-walk.md.
"""

import io
import statistics
import time
from collections.abc import Callable, Sequence

import click
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence as DicomSequence
from rich.console import Console
from rich.table import Table

from imaging import header
from imaging.header import read_header
from imaging.identity import read_facts
from imaging.limits import DEFAULT_LIMITS
from imaging.repeated_header import RepeatedHeaders
from models.phantoms.dicom import PhantomStyle, phantom_file

_FACTS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "StudyDate",
    "Modality",
    "BodyPartExamined",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
)
"""The elements that `imaging.identity.read_facts` reads, except those about patients."""
_TAGS = [*_FACTS, "SpecificCharacterSet"]
_OTHER_ELEMENTS = 200
"""Number of added private elements: real CT and MR headers have 100 to 300 elements."""

_read_before = RepeatedHeaders()

Reader = Callable[[bytes], object]


def own_walk(data: bytes) -> object:
    """Read the facts as a worker does if no earlier header was similar."""
    header._repeated = RepeatedHeaders()  # noqa: SLF001 - forgets the earlier headers
    return read_facts(read_header(data, DEFAULT_LIMITS), None)


def repeated(data: bytes) -> object:
    """Read the facts as a worker does if an earlier header had the same layout."""
    header._repeated = _read_before  # noqa: SLF001
    return read_facts(read_header(data, DEFAULT_LIMITS), None)


def specific_tags(data: bytes) -> object:
    """Read only the wanted elements with pydicom."""
    dataset = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=_TAGS)
    return [dataset.get(name) for name in _FACTS]


def whole_header(data: bytes) -> object:
    """Read the whole header with pydicom, as tutorials do."""
    dataset = dcmread(io.BytesIO(data), stop_before_pixels=True)
    return [dataset.get(name) for name in _FACTS]


READERS: dict[str, Reader] = {
    "repeated (imaging.repeated_header)": repeated,
    "own walk (imaging.header)": own_walk,
    "dcmread, specific_tags": specific_tags,
    "dcmread": whole_header,
}


def small_headers(count: int) -> list[bytes]:
    """Generate chest films with about 40 elements each."""
    style = PhantomStyle(size=64, syntax="explicit")
    return [phantom_file(seed=1, index=index, style=style)[0] for index in range(count)]


def large_headers(count: int) -> list[bytes]:
    """Generate the same films with private elements and sequences, as scanners write them."""
    return [_with_scanner_elements(data) for data in small_headers(count)]


def _with_scanner_elements(data: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    block = dataset.private_block(0x0019, "BENCHMARK", create=True)
    for element in range(_OTHER_ELEMENTS):
        block.add_new(element, "LO", f"value {element}")
    dataset.ReferencedImageSequence = DicomSequence([_reference() for _ in range(3)])
    written = io.BytesIO()
    pydicom.dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def _reference() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    return item


def microseconds(reader: Reader, files: Sequence[bytes]) -> float:
    """Return microseconds of processor time per file."""
    started = time.process_time()
    for data in files:
        reader(data)
    return (time.process_time() - started) / len(files) * 1e6


@click.command()
@click.option("--files", default=200, show_default=True)
@click.option("--rounds", default=21, show_default=True, help="Rounds of each reader; the median is printed.")
def main(files: int, rounds: int) -> None:
    """Print microseconds of processor time per header."""
    table = Table(title=f"µs per header, median (minimum) of {rounds} rounds")
    kinds = {"generated film": small_headers(files), f"with {_OTHER_ELEMENTS} more elements": large_headers(files)}
    for heading in ("reader", *kinds):
        table.add_column(heading, justify="left" if heading == "reader" else "right")
    columns = [_turns(content, rounds) for content in kinds.values()]
    for name in READERS:
        table.add_row(name, *(f"{statistics.median(column[name]):.0f} ({min(column[name]):.0f})" for column in columns))
    Console(width=110).print(table)


def _turns(files: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(rounds):
        for name, reader in READERS.items():
            spent[name].append(microseconds(reader, files))
    return spent


if __name__ == "__main__":
    main()
