"""Count the results of each night by bin, and store the counts."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from db.drift.lock import lock_drift
from db.drift.results import IS_RESULT, BinnedResults, binned_results
from db.drift_tables import drift_nights, drift_results
from db.engine import Database
from db.tables import work
from nightread.drift.measures import Counts
from nightread.drift.reference import Stratum
from nightread.nights import Nights

FEWEST_KEPT = 5
"""The counts of a stratum with fewer images are not stored, because they would nearly describe single images."""
KEPT_NIGHTS = 400

BundleNight = dict[Stratum, Counts]


def period(nights: Nights, evening: date) -> tuple[datetime, datetime]:
    """Return the start of a night and the start of the next night.

    Results of the day between both nights belong to the first.
    """
    return nights.bounds(evening)[0], nights.bounds(evening + timedelta(days=1))[0]


def results_in(database: Database, since: datetime, until: datetime) -> int:
    """Count the results from `since` (included) to `until` (excluded)."""
    statement = (
        select(func.count())
        .select_from(work)
        .where(work.c.finished_at >= since, work.c.finished_at < until, *IS_RESULT)
    )
    with database.read() as connection:
        return connection.execute(statement).scalar_one()


def keep_night(database: Database, nights: Nights, evening: date) -> None:
    """Count the results of a night, and replace its stored counts.

    Counts of nights more than 400 days earlier are removed.
    """
    since, until = period(nights, evening)
    found: dict[int, BundleNight] = {}
    for binned in binned_results(database, since=since, until=until):
        _add(found.setdefault(binned.bundle_id, {}), binned)
    counted = [
        {"evening": evening.isoformat(), "bundle_id": bundle_id, "images": sum(map(images_of, night.values()))}
        for bundle_id, night in found.items()
    ]
    rows = [
        {
            "evening": evening.isoformat(),
            "bundle_id": bundle_id,
            **dict(zip(_FIELDS, stratum, strict=True)),
            "images": images,
            "counts": {name: numbers.tolist() for name, numbers in counts.items()},
        }
        for bundle_id, night in found.items()
        for stratum, counts in sorted(night.items())
        if (images := images_of(counts)) >= FEWEST_KEPT
    ]

    def transaction(connection: Connection) -> None:
        lock_drift(connection)
        oldest = (evening - timedelta(days=KEPT_NIGHTS)).isoformat()
        for table in (drift_results, drift_nights):
            connection.execute(
                delete(table).where((table.c.evening == evening.isoformat()) | (table.c.evening < oldest))
            )
        if rows:
            connection.execute(insert(drift_nights), rows)
        if counted:
            connection.execute(insert(drift_results).values(comparisons=[]), counted)

    database.write(transaction)


def kept_night(database: Database, evening: date) -> dict[int, BundleNight]:
    """Return the stored counts of a night, by bundle id."""
    statement = select(drift_nights).where(drift_nights.c.evening == evening.isoformat())
    found: dict[int, BundleNight] = {}
    with database.read() as connection:
        for row in connection.execute(statement):
            counts = {name: np.array(numbers, np.int64) for name, numbers in row.counts.items()}
            found.setdefault(row.bundle_id, {})[Stratum(*(getattr(row, name) for name in _FIELDS))] = counts
    return found


def of_fields(night: Mapping[Stratum, Counts], fields: tuple[str, ...]) -> BundleNight:
    """Return the counts of the night by these fields only: strata that differ only in other fields are added up."""
    merged: BundleNight = {}
    for stratum, counts in night.items():
        _merge(merged, stratum.of_fields(fields), counts)
    return merged


def images_of(counts: Counts) -> int:
    """Return the number of images of these counts."""
    return int(next(iter(counts.values())).sum())


def _add(night: BundleNight, binned: BinnedResults) -> None:
    strata = len(binned.strata)
    for name, bins in binned.measures.bins.items():
        places = binned.stratum * len(bins) + binned.codes[name]
        table = np.bincount(places, minlength=strata * len(bins)).reshape(strata, len(bins))
        for stratum, counts in zip(binned.strata, table, strict=True):
            _merge(night, stratum, {name: counts})


def _merge(night: BundleNight, stratum: Stratum, counts: Counts) -> None:
    known = dict(night.get(stratum, {}))
    for name, numbers in counts.items():
        known[name] = known[name] + numbers if name in known else numbers
    night[stratum] = known


_FIELDS = ("modality", "device_model", "view", "source")
