"""Recognise errors about values that the database refuses, and give the image an outcome that can be stored."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from db.ledger.values import Outcome
from db.tables import State
from nightread.reasons import Reason

REFUSALS = (StatementError, OverflowError, UnicodeError)
"""Errors that the driver or the database raises if it refuses a value. They also have other causes, which
`is_refused_value` excludes."""


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
