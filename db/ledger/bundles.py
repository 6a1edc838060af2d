"""Register bundles, check that outcomes name registered bundles, and compute the suspicion of their results."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import StatementError

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.tables import bundles
from nightread.label_codes import LabelCodes, label_codes_to_json


def register_bundle(  # noqa: PLR0913 - one per column
    database: Database,
    *,
    name: str,
    version: str,
    digest: str,
    labels: Sequence[str],
    normal_label: str | None,
    codes: LabelCodes | None = None,
    of_series: bool = False,
    now: datetime,
) -> int:
    """Return the id of the bundle with this digest; insert the bundle if it is new.

    The digest does not cover the codes of labels, so `codes` replaces the stored codes of a known bundle; None keeps
    them. `of_series` marks a new or known bundle as a bundle of unit `series`.
    """
    named = None if codes is None else label_codes_to_json(codes)
    row = {
        "name": name,
        "version": version,
        "digest": digest,
        "labels": list(labels),
        "normal_label": normal_label,
        "codes": named or None,
        "of_series": of_series,
        "registered_at": now,
    }

    def transaction(connection: Connection) -> int:
        insert_if_absent(connection, bundles, tuple(row), [tuple(row.values())])
        known = connection.execute(_KNOWN, {"digest": digest}).one()
        if named is not None and (known.codes or {}) != named:
            connection.execute(_RECODE, {"which": known.id, "named": named or None})
        if of_series and not known.of_series:
            connection.execute(_MAKE_SERIES, {"which": known.id})
        return int(known.id)

    return database.write(transaction)


class RegisteredBundle(NamedTuple):
    """What the ledger must know of a bundle to compute the suspicion of its results."""

    has_normal_label: bool
    normal_position: int | None
    """Position of the normal label among the scores; None if it has no score of its own."""
    of_series: bool = False
    """True for a bundle of unit `series`."""

    def suspicion(self, scores: Sequence[float] | None) -> float | None:
        """Return the suspicion as models.postprocessing.Postprocessing does.

        Return None if there are no scores, or if the bundle has no normal label.
        """
        if not scores or not self.has_normal_label:
            return None
        if self.normal_position is None:
            return max(scores)
        return 1.0 - scores[self.normal_position] if self.normal_position < len(scores) else None


def registered_bundles(connection: Connection, outcomes: Sequence[Outcome]) -> dict[int, RegisteredBundle]:
    """Return the bundles that these outcomes name, by id. Raises StatementError unless all of them are registered.

    One query for the batch replaces a foreign key check per row (docs/decisions/0012-cost-of-recording-an-outcome.md).
    """
    named = {outcome.bundle_id for outcome in outcomes}
    named.update(prediction.bundle_id for outcome in outcomes for prediction in outcome.further)
    named.discard(None)
    found = connection.execute(_REGISTERED, {"ids": list(named)}).all() if named else []
    if len(found) < len(named):
        raise StatementError("an outcome names a bundle that is not registered", str(_REGISTERED), None, None)
    return {row.id: _registered(row) for row in found}


def _registered(row: Any) -> RegisteredBundle:
    normal = row.normal_label
    position = row.labels.index(normal) if normal in row.labels else None
    return RegisteredBundle(has_normal_label=normal is not None, normal_position=position, of_series=row.of_series)


_KNOWN = select(bundles.c.id, bundles.c.codes, bundles.c.of_series).where(bundles.c.digest == bindparam("digest"))
_RECODE = update(bundles).where(bundles.c.id == bindparam("which")).values(codes=bindparam("named"))
_MAKE_SERIES = update(bundles).where(bundles.c.id == bindparam("which")).values(of_series=True)
_REGISTERED = select(bundles.c.id, bundles.c.labels, bundles.c.normal_label, bundles.c.of_series).where(
    bundles.c.id.in_(bindparam("ids", expanding=True))
)
