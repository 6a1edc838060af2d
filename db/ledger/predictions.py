"""Store the predictions of bundles: the answer with the first row of work, other predictions with further rows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, select

from db.bulk import write_rows
from db.ledger.bundles import RegisteredBundle
from db.ledger.values import FramePrediction, FurtherPrediction, Outcome
from db.tables import State, predictions, work


def insert_predictions(connection: Connection, of_work: Sequence[tuple[int, FramePrediction]]) -> None:
    """Insert rows of `predictions`; each prediction comes with the id of its row of work."""
    rows = [(work_id, frame.frame, frame.label, frame.score, frame.scores) for work_id, frame in of_work]
    write_rows(connection, _PREDICT, ("work_id", "frame", "label", "score", "scores"), rows)


def add_further_predictions(
    connection: Connection,
    batch_id: str,
    outcomes: Sequence[Outcome],
    bundles: dict[int, RegisteredBundle],
    now: datetime,
) -> None:
    """Insert a final row of work for each further prediction, after the rows that the image already has.

    If an image is retried, further results that it already has stay, and are not inserted again.
    """
    with_further = [outcome for outcome in outcomes if outcome.further]
    if not with_further:
        return
    images = [outcome.instance_id for outcome in with_further]
    last: Counter[int] = Counter()
    stored = set()
    for row in connection.execute(_KNOWN, {"images": images}):
        last[row.instance_id] = max(last[row.instance_id], row.ordinal)
        stored.add((row.instance_id, row.bundle_id))
    placed = [
        (outcome, last[outcome.instance_id] + number, prediction)
        for outcome in with_further
        for number, prediction in enumerate(_not_yet_stored(outcome, stored), start=1)
    ]
    if not placed:
        return
    connection.execute(_FURTHER, [_row(*each, bundles, batch_id=batch_id, now=now) for each in placed])
    ids = {(row.instance_id, row.ordinal): row.id for row in connection.execute(_ROWS, {"images": images})}
    insert_predictions(
        connection,
        [
            (ids[outcome.instance_id, ordinal], frame)
            for outcome, ordinal, prediction in placed
            for frame in prediction.frames
        ],
    )


def _not_yet_stored(outcome: Outcome, stored: set[tuple[int, int]]) -> list[FurtherPrediction]:
    return [prediction for prediction in outcome.further if (outcome.instance_id, prediction.bundle_id) not in stored]


def _row(
    outcome: Outcome,
    ordinal: int,
    prediction: FurtherPrediction,
    bundles: dict[int, RegisteredBundle],
    *,
    batch_id: str,
    now: datetime,
) -> dict[str, Any]:
    return {
        "instance_id": outcome.instance_id,
        "ordinal": ordinal,
        "bundle_id": prediction.bundle_id,
        "state": prediction.state.value,
        "batch_id": batch_id,
        "attempts": 1,
        "deaths": 0,
        "expiries": 0,
        "priority": 0,
        "alone": False,
        "reason": prediction.reason.value if prediction.reason else None,
        "detail": prediction.detail or (prediction.reason.message if prediction.reason else None),
        "label": prediction.label,
        "score": prediction.score,
        "scores": prediction.scores,
        "suspicion": bundles[prediction.bundle_id].suspicion(prediction.scores),
        "finished_at": now,
        "route_id": prediction.route_id,
        "matched": prediction.matched,
        "shadow": prediction.shadow,
        "remarks": prediction.remarks,
        "intensities": prediction.intensities,
    }


_PREDICT = insert(predictions)
_FURTHER = insert(work)
_IS_RESULT = (work.c.ordinal > 0) & (work.c.state == State.DONE.value)
_KNOWN = select(
    work.c.instance_id, work.c.ordinal, case((_IS_RESULT, work.c.bundle_id), else_=None).label("bundle_id")
).where(work.c.instance_id.in_(bindparam("images", expanding=True)))
_ROWS = select(work.c.instance_id, work.c.ordinal, work.c.id).where(
    work.c.instance_id.in_(bindparam("images", expanding=True)), work.c.ordinal > 0
)
