"""Read results of a time and sort them into bins; an image takes a few microseconds (`python -m benchmarks.drift`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from sqlalchemy import ColumnElement, Connection, Text, bindparam, cast, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from db.engine import Database
from db.ledger.outbox import RERUN
from db.queries.bundles import BundleLabels, bundles_by_id
from db.tables import State, instances, sources, work
from nightread.drift.measures import Codes, DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import Stratum

_CHUNK = 20_000
_SEPARATOR = "\x1f"
"""No header value contains it: imaging.facts replaces control characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BinnedResults:
    """Some results of one bundle."""

    bundle_id: int
    measures: DriftMeasures
    strata: Sequence[Stratum]
    """The distinct strata of these images."""
    stratum: NDArray[np.int64]
    """(images,): position in `strata`."""
    codes: Codes
    studies: Sequence[str | None]
    """Study Instance UIDs; empty unless they were asked for."""


def binned_results(
    database: Database, *, since: datetime, until: datetime, bundle_id: int | None = None, with_studies: bool = False
) -> Iterator[BinnedResults]:
    """Yield the results of a time in parts; of all bundles, or of one."""
    statement = _RESULTS if bundle_id is None else _RESULTS.where(work.c.bundle_id == bundle_id)
    if with_studies:
        statement = statement.add_columns(instances.c.study_instance_uid)
    named = {"since": since, "until": until}
    with database.read() as connection:
        bundles, names = bundles_by_id(connection), _source_names(connection)
        found = connection.execute(statement, named, execution_options={"yield_per": _CHUNK})
        for rows in found.partitions():
            present = sorted({row[0] for row in rows})
            for which in present:
                own = rows if len(present) == 1 else [row for row in rows if row[0] == which]
                yield _binned(which, measures_of(bundles[which]), own, names)


def measures_of(bundle: BundleLabels) -> DriftMeasures:
    """Return the measures of a bundle."""
    return DriftMeasures(labels=bundle.labels, normal_label=bundle.normal_label)


def _source_names(connection: Connection) -> dict[str, str]:
    return {str(row.id): row.name for row in connection.execute(select(sources.c.id, sources.c.name))}


def _binned(
    bundle_id: int, measures: DriftMeasures, rows: Sequence[Sequence[Any]], sources_by_id: Mapping[str, str]
) -> BinnedResults:
    _, headers, labels, scores, intensities, *studies = zip(*rows, strict=True)
    places: dict[str, int] = {}
    header = np.array([places.setdefault(each, len(places)) for each in headers], np.int64)
    fields = [each.split(_SEPARATOR) for each in places]
    strata = [Stratum(each[0], each[1], each[2], sources_by_id.get(each[3], "")) for each in fields]
    distinct = {stratum: place for place, stratum in enumerate(dict.fromkeys(strata))}
    in_header = measures.header_codes(_header_values(fields))
    results = ResultValues(labels=labels, scores=_scores(scores, len(measures.labels)), intensities=intensities)
    return BinnedResults(
        bundle_id=bundle_id,
        measures=measures,
        strata=list(distinct),
        stratum=np.array([distinct[stratum] for stratum in strata], np.int64)[header],
        codes={**measures.result_codes(results), **{name: codes[header] for name, codes in in_header.items()}},
        studies=studies[0] if studies else (),
    )


def _header_values(fields: Sequence[Sequence[str]]) -> HeaderValues:
    return HeaderValues(
        sizes=[(int(each[4] or 0), int(each[5] or 0)) for each in fields],
        photometric=[each[6] or None for each in fields],
        spacings=[float(each[7]) if each[7] else None for each in fields],
    )


def _scores(texts: Sequence[str | None], labels: int) -> NDArray[np.float64]:
    """Return (images, labels) from the JSON texts of the database, which are parsed together."""
    empty = "[" + ",".join(["0"] * labels) + "]"
    rows = from_json(f"[{','.join([text or empty for text in texts])}]")
    return np.array(rows, np.float64).reshape(len(texts), labels)


class _Joined(FunctionElement[str]):
    """Several columns as one text, with nothing for a null: fewer values per row are fetched in less time."""

    inherit_cache = True
    type = Text()


def _joined(*columns: ColumnElement[Any]) -> _Joined:
    return _Joined(literal(_SEPARATOR.join(["%s"] * len(columns))), *columns)


@compiles(_Joined)
def _printf(element: _Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"printf({compiler.process(element.clauses, **options)})"


@compiles(_Joined, "postgresql")
def _format(element: _Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"format({compiler.process(element.clauses, **options)})"


IS_RESULT = (
    work.c.state.concat("") == State.DONE.value,  # an expression: the range of times leads the search
    work.c.score.is_not(None),
    work.c.priority < RERUN,  # a re-run concerns images of any night
)
"""The conditions of a result that counts in the night in which it was recorded."""
_RESULTS = (
    select(
        work.c.bundle_id,
        _joined(
            instances.c.modality,
            instances.c.device_model,
            instances.c.view_position,
            instances.c.source_id,
            instances.c.rows,
            instances.c.columns,
            instances.c.photometric,
            instances.c.pixel_spacing,
        ),
        work.c.label,
        cast(work.c.scores, Text),
        work.c.intensities,
    )
    .join(instances, instances.c.id == work.c.instance_id)
    .where(
        work.c.finished_at >= bindparam("since", type_=work.c.finished_at.type),
        work.c.finished_at < bindparam("until", type_=work.c.finished_at.type),
        *IS_RESULT,
    )
)
