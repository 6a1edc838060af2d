"""Compare the stored counts of nights with the references in force, and store the comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update

from db.drift.nights import BundleNight, keep_night, kept_night, of_fields, period, results_in
from db.drift.references import StoredReference, reference_content, references_in_force
from db.drift_tables import drift_results
from db.engine import Database
from db.queries.bundles import BundleLabels, bundles_by_id
from nightread.drift.judgement import DriftComparison, alarming, compare_night
from nightread.nights import Nights

_RUNNING = timedelta(days=7)
"""The previous night is the last earlier night with results. It is searched within this time, because some sites send
nothing at weekends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NightDrift:
    """How the results of one bundle in one night differ from its reference."""

    evening: date
    bundle: BundleLabels
    images: int
    reference: StoredReference | None
    """The reference in force. None if the bundle has none; then there are no comparisons either."""
    comparisons: Sequence[DriftComparison] = ()
    before: Sequence[DriftComparison] = ()
    """The comparisons of the previous night with results."""

    @property
    def model(self) -> str:
        """Return `NAME@VERSION`."""
        return f"{self.bundle.name}@{self.bundle.version}"

    @property
    def largest(self) -> DriftComparison:
        """Return the comparison with the largest distance in proportion to its limit.

        If any comparisons exceed their limit, only these are considered. Of them, comparisons whose reference has
        enough studies for an alarm come first. Raises ValueError if there are no comparisons.
        """
        return max(self.comparisons, key=lambda each: (each.exceeds, each.is_judged, each.distance / each.limit))

    @property
    def is_judged(self) -> bool:
        """Return whether the reference has enough studies for an alarm about at least one group of these images."""
        return any(each.is_judged for each in self.comparisons)

    @property
    def alarming(self) -> list[DriftComparison]:
        """Return the comparisons that cause an alarm, the largest difference first."""
        return alarming(self.comparisons, self.before)


def refresh_night(database: Database, nights: Nights, evening: date, *, again: bool = False) -> None:
    """Count the results of a night if it was not counted or has more results now; then compare it with the references.

    Without `again`, a night with fewer results than at its earlier count keeps that count, because some results were
    purged. With `again`, the results are always counted, and the new count replaces the earlier one. The previous night
    with results is compared too; it is not counted again. A night whose reference was replaced is compared again from
    its stored counts.
    """
    since, until = period(nights, evening)
    counted = _counted(database, evening)
    if again or not counted or results_in(database, since, until) > counted:
        keep_night(database, nights, evening)
    for each in (evening, _before(database, evening)):
        if each is not None:
            _compare(database, each)


def night_drift(database: Database, evening: date) -> list[NightDrift]:
    """Return the stored comparisons of a night for each bundle with results in this night."""
    references = references_in_force(database)
    found, before = _results(database, evening), _before(database, evening)
    earlier = {} if before is None else _results(database, before)
    with database.read() as connection:
        bundles = bundles_by_id(connection)
    return [
        NightDrift(
            evening=evening,
            bundle=bundles[bundle_id],
            images=found[bundle_id].images,
            reference=references.get(bundle_id),
            comparisons=_of_reference(found, bundle_id, references),
            before=_of_reference(earlier, bundle_id, references),
        )
        for bundle_id in sorted(found)
    ]


def _compare(database: Database, evening: date) -> None:
    references, known = references_in_force(database), _results(database, evening)
    for bundle_id, night in kept_night(database, evening).items():
        reference, result = references.get(bundle_id), known.get(bundle_id)
        if reference and result and result.reference_id != reference.id:
            _keep_comparison(database, result, night, reference)


def _keep_comparison(database: Database, result: Row[Any], night: BundleNight, reference: StoredReference) -> None:
    """Compare a night with the reference, and store the comparisons.

    If another process has counted the night again meanwhile, nothing is stored: that process compares the night.
    """
    content = reference_content(database, reference.id)
    comparisons = compare_night(content, of_fields(night, content.fields))
    changed = (
        update(drift_results)
        .where(
            drift_results.c.evening == result.evening,
            drift_results.c.bundle_id == result.bundle_id,
            drift_results.c.images == result.images,
        )
        .values(reference_id=reference.id, comparisons=[each.to_json() for each in comparisons])
    )
    database.write(lambda connection: connection.execute(changed))


def _results(database: Database, evening: date) -> dict[int, Row[Any]]:
    statement = select(drift_results).where(drift_results.c.evening == evening.isoformat())
    with database.read() as connection:
        return {row.bundle_id: row for row in connection.execute(statement)}


def _of_reference(
    results: dict[int, Row[Any]], bundle_id: int, references: dict[int, StoredReference]
) -> list[DriftComparison]:
    """Return the comparisons with the reference in force; comparisons with earlier references are left out."""
    row, reference = results.get(bundle_id), references.get(bundle_id)
    if row is None or reference is None or row.reference_id != reference.id:
        return []
    return [DriftComparison.from_json(values) for values in row.comparisons]


def _counted(database: Database, evening: date) -> int:
    statement = select(func.sum(drift_results.c.images)).where(drift_results.c.evening == evening.isoformat())
    with database.read() as connection:
        return connection.execute(statement).scalar() or 0


def _before(database: Database, evening: date) -> date | None:
    """Return the last night before this night that has results, if it is at most _RUNNING earlier."""
    statement = select(func.max(drift_results.c.evening)).where(
        drift_results.c.evening < evening.isoformat(), drift_results.c.evening >= (evening - _RUNNING).isoformat()
    )
    with database.read() as connection:
        found = connection.execute(statement).scalar()
    return None if found is None else date.fromisoformat(found)
