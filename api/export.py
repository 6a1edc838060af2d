"""Write rows of images as JSON, JSON lines, CSV or Parquet, for programs."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, TextIO

from db.queries import COLUMNS
from nightread.csv_cells import csv_cell
from nightread.errors import UsageFault
from nightread.plain_text import safe_json

Rows = Iterator[dict[str, Any]]
FORMATS = ("json", "jsonl", "csv", "parquet")

_CHUNK = 10_000
_ROWS_PER_CHUNK = 1000
_WHOLE_NUMBERS = frozenset(
    (
        *("image_id", "duplicate_of", "superseded_by", "parent_id", "withdrawn_by", "replaced_by", "conflict_with"),
        *("rows", "columns", "frames", "frame", "attempts"),
        *("images", "done", "no_result", "unfinished", "withdrawn", "expected"),
        *("stack", "slices", "of_slices", "revision"),
    )
)
_TIMES = ("received_at", "finished_at", "first_arrival", "last_arrival", "changed_at", "formed_at")


def export(rows: Rows, style: str, output: Path | None, *, per_frame: bool) -> None:
    """Write `rows` in the format `style`, one of FORMATS, to the file `output`, or to standard output if it is None.

    The file gets its name when it is complete. Times are ISO 8601 in UTC. Scores are an object in JSON, the JSON text
    of this object in CSV, and a map in Parquet. Remarks are a list; in CSV they are words separated by spaces. Cells of
    CSV never contain formulas or control characters.
    """
    export_rows(rows, (*COLUMNS, "frame") if per_frame else COLUMNS, style, output)


def export_rows(rows: Rows, names: Sequence[str], style: str, output: Path | None) -> None:
    """Write rows as `export` does, in the columns `names`. Raises UsageFault for parquet without `output`."""
    if style == "parquet":
        if output is None:
            raise UsageFault("Parquet is a binary format: name a file with -o.")
        with _complete_file(output) as part:
            _write_parquet(rows, names, part)
    elif output is None:
        _WRITERS[style](rows, names, sys.stdout)
    else:
        with _complete_file(output) as part, part.open("w", encoding="utf-8", newline="") as stream:
            _WRITERS[style](rows, names, stream)


def text_chunks(rows: Rows, names: Sequence[str], style: str) -> Iterator[str]:
    """Yield the text of a `jsonl` or `csv` file in chunks of up to 1,000 rows, for a streaming response."""
    buffer = StringIO()
    if style == "csv":
        csv.writer(buffer, lineterminator="\n").writerow(names)
    yield buffer.getvalue()
    while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
        buffer = StringIO()
        if style == "csv":
            _write_csv_rows(chunk, names, buffer)
        else:
            _write_jsonl(iter(chunk), names, buffer)
        yield buffer.getvalue()


def write_parquet(rows: Rows, names: Sequence[str], output: Path | IO[bytes]) -> None:
    """Write rows to a Parquet file. Raises UsageFault if pyarrow is not installed."""
    _write_parquet(rows, names, output)


def json_line(value: dict[str, Any]) -> str:
    """Return the value as JSON on one line. Characters that can control a terminal are escaped, letters are kept."""
    return safe_json(json.dumps(value, default=datetime.isoformat, ensure_ascii=False))


def _write_json(rows: Rows, names: Sequence[str], stream: TextIO) -> None:
    """Write one JSON list with one object per line."""
    separator = "[\n"
    for row in rows:
        stream.write(separator + _as_json(row, names))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_jsonl(rows: Rows, names: Sequence[str], stream: TextIO) -> None:
    stream.writelines(_as_json(row, names) + "\n" for row in rows)


def _write_csv(rows: Rows, names: Sequence[str], stream: TextIO) -> None:
    csv.writer(stream, lineterminator="\n").writerow(names)
    _write_csv_rows(rows, names, stream)


def _write_csv_rows(rows: Iterable[dict[str, Any]], names: Sequence[str], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    for row in rows:
        writer.writerow([csv_cell(_as_text(row[name])) for name in names])


def _write_parquet(rows: Rows, names: Sequence[str], path: Path | IO[bytes]) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra, and slow to load
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageFault("Parquet needs pyarrow: `pip install 'nightread[parquet]'`, or choose csv or jsonl.") from None
    text, times = pa.string(), pa.timestamp("us", tz="UTC")
    types = {
        "score": pa.float64(),
        "suspicion": pa.float64(),
        "scores": pa.map_(text, pa.float64()),
        **dict.fromkeys(_TIMES, times),
    }
    types |= dict.fromkeys(_WHOLE_NUMBERS, pa.int64())
    types |= {"shadow": pa.bool_(), "partial": pa.bool_(), "matched": pa.map_(text, text)}
    types |= dict.fromkeys(("remarks", "evidence", "series_results"), pa.list_(text))
    schema = pa.schema([(name, types.get(name, text)) for name in names])
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, _CHUNK)):
            columns = {name: [row[name] for row in chunk] for name in names}
            for name in {"scores", "matched"} & set(names):
                columns[name] = [value and list(value.items()) for value in columns[name]]
            writer.write_table(pa.table(columns, schema=schema))


def _as_json(row: dict[str, Any], names: Sequence[str]) -> str:
    return json_line({name: row[name] for name in names})


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return " ".join(value)
    return json_line(value) if isinstance(value, dict) else value


@contextmanager
def _complete_file(output: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `output` at the end, so that `output` is never incomplete."""
    part = output.with_name(f"{output.name}.part")
    try:
        yield part
        part.replace(output)
    except FileNotFoundError:
        raise UsageFault(f"The folder {output.parent} does not exist.") from None
    finally:
        part.unlink(missing_ok=True)


_WRITERS: dict[str, Callable[[Rows, Sequence[str], TextIO], None]] = {
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
}
