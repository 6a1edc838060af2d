"""Read results of a time range and sort them into bins; one image takes a few us (`python -m benchmarks.drift`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from sqlalchemy import Connection, Select, Text, bindparam, cast, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from db.engine import Database
from db.ledger.outbox import RERUN
from db.queries.bundles import BundleLabels, bundles_by_id
from db.tables import State, instances, sources, work
from nightread.drift.measures import Codes, DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import Stratum

_PART = 20_000
"""Number of results that are sorted into bins at once. Results that were recorded together are not separated."""
_GROUPS = 20
"""Number of groups that are fetched at once. A group has the results that were recorded together, mostly up to
1,024."""
_FIELD, _SUBFIELD = "\x1f", "\x1e"
"""Separators of joined texts. imaging.facts and models.postprocessing ensure that no header value and no label contains
them."""


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
    """Yield the results from `since` (included) to `until` (excluded), in parts; for all bundles or for one."""
    width, statement = _results(with_studies=with_studies)
    if bundle_id is not None:
        statement = statement.where(work.c.bundle_id == bundle_id)
    with database.read() as connection:
        bundles, names = bundles_by_id(connection), _source_names(connection)
        for text in _parts(connection, statement, {"since": since, "until": until}):
            fields = text.split(_FIELD)
            for which, *values in _by_bundle([fields[place::width] for place in range(width)]):
                yield _binned(which, measures_of(bundles[which]), values, names)


def measures_of(bundle: BundleLabels) -> DriftMeasures:
    """Return the measures of a bundle."""
    return DriftMeasures(labels=bundle.labels, normal_label=bundle.normal_label)


def _parts(connection: Connection, statement: Select[int, str], named: Mapping[str, datetime]) -> Iterator[str]:
    """Yield the fields of all results as texts; each text has about 20,000 results."""
    texts: list[str] = []
    images = 0
    for number, text in connection.execute(statement, named, execution_options={"yield_per": _GROUPS}):
        texts.append(text)
        images += number
        if images >= _PART:
            yield _FIELD.join(texts)
            texts, images = [], 0
    if texts:
        yield _FIELD.join(texts)


def _by_bundle(columns: Sequence[Sequence[str]]) -> Iterator[tuple[int, *tuple[Sequence[str], ...]]]:
    """Yield each bundle id with the columns of its results; the first of `columns` has the bundle ids."""
    ids, *others = columns
    present = sorted(set(ids))
    if len(present) == 1:
        yield int(present[0]), *others
        return
    for which in present:
        own = [place for place, each in enumerate(ids) if each == which]
        yield int(which), *([column[place] for place in own] for column in others)


def _source_names(connection: Connection) -> dict[str, str]:
    return {str(row.id): row.name for row in connection.execute(select(sources.c.id, sources.c.name))}


def _binned(
    bundle_id: int, measures: DriftMeasures, columns: Sequence[Sequence[str]], sources_by_id: Mapping[str, str]
) -> BinnedResults:
    headers, labels, scores, intensities, *studies = columns
    places: dict[str, int] = {}
    header = np.array([places.setdefault(each, len(places)) for each in headers], np.int64)
    fields = [each.split(_SUBFIELD) for each in places]
    strata = [Stratum(each[0], each[1], each[2], sources_by_id.get(each[3], "")) for each in fields]
    distinct = {stratum: place for place, stratum in enumerate(dict.fromkeys(strata))}
    in_header = measures.header_codes(_header_values(fields))
    results = ResultValues(
        labels=[label or None for label in labels],
        scores=_scores(scores, len(measures.labels)),
        intensities=_numbers(intensities, "null"),
    )
    return BinnedResults(
        bundle_id=bundle_id,
        measures=measures,
        strata=list(distinct),
        stratum=np.array([distinct[stratum] for stratum in strata], np.int64)[header],
        codes={**measures.result_codes(results), **{name: codes[header] for name, codes in in_header.items()}},
        studies=[study or None for study in studies[0]] if studies else (),
    )


def _header_values(fields: Sequence[Sequence[str]]) -> HeaderValues:
    return HeaderValues(
        sizes=[(int(each[4] or 0), int(each[5] or 0)) for each in fields],
        photometric=[each[6] or None for each in fields],
        spacings=[float(each[7]) if each[7] else None for each in fields],
    )


def _scores(texts: Sequence[str], labels: int) -> NDArray[np.float64]:
    """Return the scores in the shape (images, labels)."""
    rows = _numbers(texts, "[" + ",".join(["0"] * labels) + "]")
    return np.array(rows, np.float64).reshape(len(texts), labels)


def _numbers(texts: Sequence[str], empty: str) -> list[Any]:
    """Parse all JSON texts at once, which is faster than one by one; an empty text is parsed as `empty`."""
    found: list[Any] = from_json(f"[{','.join([text or empty for text in texts])}]")
    return found


class _Joined(FunctionElement[str]):
    """A function of SQL that joins columns to one text by a template; NULL becomes an empty text."""

    inherit_cache = True
    type = Text()


@compiles(_Joined)
def _printf(element: _Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"printf({compiler.process(element.clauses, **options)})"


@compiles(_Joined, "postgresql")
def _format(element: _Joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"format({compiler.process(element.clauses, **options)})"


IS_RESULT = (
    work.c.state.concat("") == State.DONE.value,  # an expression, so that SQLite searches by the times instead
    work.c.score.is_not(None),
    work.c.priority < RERUN,  # a re-run may analyse images of any night
)
"""The conditions for a result to be counted for the night in which it was recorded: it is done, has a score, and is not
a re-run."""
_HEADER = (
    instances.c.modality,
    instances.c.device_model,
    instances.c.view_position,
    instances.c.source_id,
    instances.c.rows,
    instances.c.columns,
    instances.c.photometric,
    instances.c.pixel_spacing,
)
_OTHERS = (work.c.label, cast(work.c.scores, Text), work.c.intensities)


def _results(*, with_studies: bool) -> tuple[int, Select[int, str]]:
    """Return the number of fields of a result, and a query with one row per group of results recorded together.

    A row has the number of results in the group and their joined fields. One row per result would take longer to fetch
    than all other steps. The groups need no sort, because an index has their order.
    """
    others = (*_OTHERS, instances.c.study_instance_uid) if with_studies else _OTHERS
    fields = ("%s", _SUBFIELD.join(["%s"] * len(_HEADER)), *["%s"] * len(others))
    text = _Joined(literal(_FIELD.join(fields)), work.c.bundle_id, *_HEADER, *others)
    statement = (
        select(func.count(), func.aggregate_strings(text, _FIELD))
        .select_from(work)
        .join(instances, instances.c.id == work.c.instance_id)
        .where(
            work.c.finished_at >= bindparam("since", type_=work.c.finished_at.type),
            work.c.finished_at < bindparam("until", type_=work.c.finished_at.type),
            *IS_RESULT,
        )
        .group_by(work.c.finished_at)
    )
    return len(fields), statement
