"""Read the rows of a CSV table that people or spreadsheets wrote, and refuse rows that could be misunderstood."""

import csv
import io
from collections.abc import Collection

SEPARATORS = (",", ";", "\t", "|")
"""The characters that may separate columns. Spreadsheets write semicolons where the comma is the decimal separator."""

Row = tuple[int, dict[str, str]]
"""The line of a row, which for a row of several lines is the last one, and its trimmed value for each column."""


class UnclearTableError(ValueError):
    """A table that cannot be read without guessing."""

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep what is wrong and what to do."""
        super().__init__(f"{problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


def read_csv(data: bytes, keys: Collection[str]) -> tuple[tuple[str, ...], list[Row]]:
    """Return the column names and the rows; empty rows are left out.

    `keys` are the columns that tell the separator: the first separator that gives one of them, or else the comma.
    Raises UnclearTableError for a column that occurs twice and for a row with more values than there are columns:
    a decimal comma without quotes would otherwise move the values behind it to the wrong columns.
    """
    try:
        stream = io.StringIO(data.decode("utf-8-sig"), newline="")
        separator = _separator(stream.readline(), keys)
        stream.seek(0)
        reader = csv.reader(stream, delimiter=separator)
        columns = tuple(name.strip() for name in next(reader, ()))
        rows = [(reader.line_num, [value.strip() for value in values]) for values in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"this is not a CSV file in UTF-8 ({type(error).__name__})"
        raise UnclearTableError(problem, "Save it as CSV in UTF-8.") from error
    if twice := next((name for name in columns if name and columns.count(name) > 1), None):
        raise UnclearTableError(f"the column {twice} occurs twice", "Keep one of them.")
    return columns, [(line, _named(columns, line, values)) for line, values in rows if any(values)]


def _named(columns: tuple[str, ...], line: int, values: list[str]) -> dict[str, str]:
    if any(values[len(columns) :]):
        raise UnclearTableError(
            f"line {line} has {len(values)} values for {len(columns)} columns",
            "Write decimal points instead of commas, put texts with a comma in quotes, or separate columns by "
            "semicolons.",
        )
    return dict(zip(columns, [*values, *[""] * (len(columns) - len(values))], strict=False))


def _separator(heading: str, keys: Collection[str]) -> str:
    for separator in SEPARATORS:
        if {name.strip(' "\r\n') for name in heading.split(separator)} & set(keys):
            return separator
    return SEPARATORS[0]
