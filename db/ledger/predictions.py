"""What networks said of one image: the answer on its first row of work, the others on further rows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, select

from db.bulk import execute_many
from db.ledger.values import FramePrediction, FurtherPrediction, Outcome
from db.tables import State, predictions, work


def insert_predictions(connection: Connection, of_work: Sequence[tuple[int, FramePrediction]]) -> None:
    """Rows of `predictions`, by executemany."""
    rows = [(work_id, frame.frame, frame.label, frame.score, frame.scores) for work_id, frame in of_work]
    execute_many(connection, _PREDICT, ("work_id", "frame", "label", "score", "scores"), rows)


def add_further_answers(connection: Connection, batch_id: str, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Make a final row of work for each further answer, after the rows that the image has.

    An image that is tried again keeps what a network said of it the first time.
    """
    answered = [outcome for outcome in outcomes if outcome.further]
    if not answered:
        return
    images = [outcome.instance_id for outcome in answered]
    last: Counter[int] = Counter()
    said = set()
    for row in connection.execute(_KNOWN, {"images": images}):
        last[row.instance_id] = max(last[row.instance_id], row.ordinal)
        said.add((row.instance_id, row.bundle_id))
    placed = [
        (outcome, last[outcome.instance_id] + number, answer)
        for outcome in answered
        for number, answer in enumerate(_news(outcome, said), start=1)
    ]
    if not placed:
        return
    connection.execute(_FURTHER, [_row(*each, batch_id=batch_id, now=now) for each in placed])
    ids = {(row.instance_id, row.ordinal): row.id for row in connection.execute(_ROWS, {"images": images})}
    insert_predictions(
        connection,
        [(ids[outcome.instance_id, ordinal], frame) for outcome, ordinal, answer in placed for frame in answer.frames],
    )


def _news(outcome: Outcome, said: set[tuple[int, int]]) -> list[FurtherPrediction]:
    return [answer for answer in outcome.further if (outcome.instance_id, answer.bundle_id) not in said]


def _row(outcome: Outcome, ordinal: int, answer: FurtherPrediction, *, batch_id: str, now: datetime) -> dict[str, Any]:
    failed = answer.reason is not None
    return {
        "instance_id": outcome.instance_id,
        "ordinal": ordinal,
        "bundle_id": answer.bundle_id,
        "state": (State.FAILED if failed else State.DONE).value,
        "batch_id": batch_id,
        "attempts": 1,
        "deaths": 0,
        "expiries": 0,
        "priority": 0,
        "alone": False,
        "reason": answer.reason.value if answer.reason else None,
        "detail": answer.reason.message if answer.reason else None,
        "label": answer.label,
        "score": answer.score,
        "scores": answer.scores,
        "finished_at": now,
        "route_id": answer.route_id,
        "matched": answer.matched,
        "shadow": answer.shadow,
    }


_PREDICT = insert(predictions)
_FURTHER = insert(work)
_SAID = (work.c.ordinal > 0) & (work.c.state == State.DONE.value)
_KNOWN = select(
    work.c.instance_id, work.c.ordinal, case((_SAID, work.c.bundle_id), else_=None).label("bundle_id")
).where(work.c.instance_id.in_(bindparam("images", expanding=True)))
_ROWS = select(work.c.instance_id, work.c.ordinal, work.c.id).where(
    work.c.instance_id.in_(bindparam("images", expanding=True)), work.c.ordinal > 0
)
