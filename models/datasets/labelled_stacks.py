"""Group labelled DICOM files into the stacks of their series, in the order of their slices."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from imaging.series.arrange import arrange
from imaging.series.rules import EVERY_SERIES, SeriesRefusal, StackProperties
from imaging.series.series_order import SliceStack
from imaging.series.slice_geometry import SliceGeometry
from models.datasets.file_info import PATIENTS, FileInfo
from models.datasets.file_parts import LabelledFile
from models.datasets.folders import check_rows, label_row, uid_of
from models.datasets.label_table import PATH, SERIES, LabelRow, LabelTable
from models.datasets.layout import Layout
from models.datasets.request import DatasetRequest

Truth = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledStack:
    """One stack of slices with its labels."""

    first: LabelledFile
    """The file of the first slice, with the labels of the whole stack."""
    places: tuple[tuple[str, int], ...]
    """The file of each slice and the index of its frame, in the order of the stack."""
    slice_truth: tuple[Truth, ...] | None
    """The labels of each slice; None if series are labelled."""
    gap_behind: tuple[bool, ...]
    """Whether a slice is missing after each slice of the stack."""
    properties: StackProperties


class _Series:
    """The readable files of one series and the rows of labels that concern them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.infos: list[FileInfo] = []
        self.rows: list[LabelRow | None] = []

    def add(self, name: str, info: FileInfo, row: LabelRow | None) -> None:
        self.names.append(name)
        self.infos.append(info)
        self.rows.append(row)

    @property
    def slices(self) -> list[SliceGeometry]:
        """Return all slices; the key of each is the index of its file."""
        return [piece._replace(key=index) for index, info in enumerate(self.infos) for piece in info.slices]


def labelled_stacks(
    request: DatasetRequest, table: LabelTable, layout: Layout, names: Sequence[str], infos: Sequence[FileInfo]
) -> tuple[list[LabelledStack], Counter[SeriesRefusal]]:
    """Return the stacks of all series that have a label, and the number of series that were refused, by reason.

    In a series whose slices are labelled, a slice without a row has none of the labels. Raises UsageFault for rows that
    match no file, for a column `label` that gives each slice one label, for a series whose files have different labels,
    and for a series whose files are in several parts.
    """
    if table.key != PATH:
        check_rows(request, table, {uid_of(table, info) for info in infos})
    by_slice = request.labels_file is not None and table.key != SERIES
    if by_slice and table.exclusive:
        request.refuse(
            f"{request.labels_file} gives each slice one label, which does not define the label of the series",
            "Use one column of 0 and 1 per label: a series then has a label if one of its slices has it.",
        )
    stacks: list[LabelledStack] = []
    refused: Counter[SeriesRefusal] = Counter()
    for series in _grouped(table, names, infos):
        _check_part(request, layout, series)
        order = arrange(series.slices, EVERY_SERIES)
        if order.refusal is not None:
            refused[order.refusal] += 1
        stacks += [_stack(request, table, series, stack, by_slice=by_slice) for stack in order.accepted]
    return stacks, refused


def _grouped(table: LabelTable, names: Sequence[str], infos: Sequence[FileInfo]) -> list[_Series]:
    """Return the series with at least one labelled file; a file without a Series Instance UID is a series of its own.

    Anonymised files of several series may have the same UID, so patient and study distinguish series, too.
    """
    groups: dict[Hashable, _Series] = defaultdict(_Series)
    for name, info in zip(names, infos, strict=True):
        if info.reason is None:
            series = info.series_instance_uid or f"file {name}"
            groups[info.patient, info.study_instance_uid, series].add(name, info, label_row(table, name, info))
    return [series for series in groups.values() if any(row is not None for row in series.rows)]


def _check_part(request: DatasetRequest, layout: Layout, series: _Series) -> None:
    if len({layout.part_of(name) for name in series.names}) > 1:
        request.refuse(
            f"files of one series, such as {series.names[0]}, are in several of the folders train, val and test",
            "Keep each series in one part, or remove these folders: nightread then splits by patient.",
        )


def _stack(
    request: DatasetRequest, table: LabelTable, series: _Series, stack: SliceStack, *, by_slice: bool
) -> LabelledStack:
    files = [piece.key for piece in stack.slices]
    none = (0.0,) * len(table.labels)
    truths = [row.truth if (row := series.rows[index]) is not None else none for index in files]
    any_of_slices = tuple(map(max, zip(*truths, strict=True)))
    truth = any_of_slices if by_slice else _of_series(request, series)
    row = next(row for row in series.rows if row is not None)
    info = series.infos[files[0]]
    patient = PATIENTS.patient_key(None, row.patient) or info.patient
    gaps = {gap.after for gap in stack.gaps}
    return LabelledStack(
        first=LabelledFile(
            name=series.names[files[0]], info=info, truth=truth, patient=patient, study=info.study_instance_uid
        ),
        places=tuple((series.names[piece.key], piece.frame) for piece in stack.slices),
        slice_truth=tuple(truths) if by_slice else None,
        gap_behind=tuple(place in gaps for place in range(len(files))),
        properties=stack.properties,
    )


def _of_series(request: DatasetRequest, series: _Series) -> Truth:
    truths = {row.truth for row in series.rows if row is not None}
    if len(truths) > 1:
        request.refuse(
            f"files of one series, such as {series.names[0]}, have different labels",
            "Keep all files of a series in one class folder.",
        )
    return truths.pop()
