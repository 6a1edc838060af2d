"""Recognise values that the database refuses, and give their image an outcome that it can store."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from db.ledger.values import Outcome
from db.tables import State
from nightread.reasons import Reason

REFUSALS = (StatementError, OverflowError, UnicodeError)
"""What a statement raises if the driver or the database refuses a value; some of these concern the transaction."""


def is_refused_value(error: Exception) -> bool:
    """Return whether the driver or the database refused a value, and not the whole transaction."""
    return not isinstance(error, DBAPIError) or isinstance(error, (DataError, IntegrityError))


def unstorable(outcome: Outcome) -> Outcome:
    """Return the outcome of an image whose values the database refused."""
    return Outcome(
        work_id=outcome.work_id,
        instance_id=outcome.instance_id,
        state=State.FAILED,
        reason=Reason.UNSTORABLE,
        detail=Reason.UNSTORABLE.message,
    )
