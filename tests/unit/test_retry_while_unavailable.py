"""An operation is retried while the database is unavailable, and for no other reason."""

import logging
import threading
from collections.abc import Callable

import pytest
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError, SQLAlchemyError

from db.retry import OutageLog, RetryPolicy, retry_while_unavailable

log = logging.getLogger(__name__)


class FakeTime:
    """A clock that only pauses move, and the pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        """Seconds since the start."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let them pass at once."""
        self.pauses.append(seconds)
        self.now += seconds


def _error(kind: type[SQLAlchemyError] = OperationalError, text: str = "starting up") -> SQLAlchemyError:
    return kind("SELECT 1", {}, Exception(text))  # type: ignore[arg-type, call-arg]


def _failing(*errors: SQLAlchemyError) -> Callable[[], str]:
    """An operation that fails so and then works."""
    left = list(errors)

    def operation() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return operation


def _retry(operation: Callable[[], str], policy: RetryPolicy, time: FakeTime) -> str:
    return retry_while_unavailable(operation, policy, OutageLog(log), wait=time.wait, clock=time.clock)


def test_an_operation_that_works_is_done_once() -> None:
    """Nothing waits."""
    time = FakeTime()
    assert _retry(_failing(), RetryPolicy(), time) == "done"
    assert time.pauses == []


def test_a_connection_that_is_lost_is_waited_for() -> None:
    """With the same pause each time, unless the policy says otherwise."""
    time = FakeTime()
    assert _retry(_failing(_error(), _error(InterfaceError), _error()), RetryPolicy(), time) == "done"
    assert time.pauses == [1, 1, 1]


def test_pauses_double_up_to_the_longest() -> None:
    """A database that is away for an hour is not asked twice a second."""
    time, policy = FakeTime(), RetryPolicy(pause_seconds=0.5, longest_pause_seconds=5)
    _retry(_failing(*(_error() for _ in range(6))), policy, time)
    assert time.pauses == [0.5, 1, 2, 4, 5, 5]


def test_the_policy_gives_up() -> None:
    """The last attempt is the one after which no pause fits, and its error is raised."""
    time, errors = FakeTime(), [_error() for _ in range(9)]
    with pytest.raises(OperationalError) as caught:
        _retry(_failing(*errors), RetryPolicy(give_up_after_seconds=3), time)
    assert caught.value is errors[3]
    assert time.pauses == [1, 1, 1]


def test_an_error_that_the_policy_does_not_name_is_raised_at_once() -> None:
    """A statement that is wrong stays wrong; who wants to wait for a table says so."""
    time, error = FakeTime(), _error(ProgrammingError, "no such table")
    with pytest.raises(ProgrammingError):
        _retry(_failing(error), RetryPolicy(), time)
    assert time.pauses == []
    assert _retry(_failing(error), RetryPolicy(errors=(SQLAlchemyError,)), time) == "done"


def test_a_stop_ends_the_pause_and_raises_the_error() -> None:
    """A process that is told to end does not wait for a database that does not come back."""
    stop = threading.Event()
    policy = RetryPolicy(pause_seconds=60)
    with pytest.raises(OperationalError):
        retry_while_unavailable(_failing(_error()), policy, OutageLog(log), stop=stop, on_failure=stop.set)
    time = FakeTime()
    with pytest.raises(OperationalError):
        retry_while_unavailable(_failing(_error()), policy, OutageLog(log), stop=stop, wait=time.wait)
    assert time.pauses == []


def test_what_is_to_happen_after_a_failure_happens_after_each() -> None:
    """Before the pause, so that it is done by the next attempt."""
    time, failures = FakeTime(), list[float]()
    retry_while_unavailable(
        _failing(_error(), _error()),
        RetryPolicy(),
        OutageLog(log),
        wait=time.wait,
        on_failure=lambda: failures.append(time.now),
    )
    assert failures == [0, 1]


def test_an_outage_is_logged_when_it_begins_changes_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    """One line each, by the name of the part that waits, with the id of its source."""
    caplog.set_level(logging.INFO)
    outage = OutageLog(log, "the night waits", source=7)
    for error in (_error(), _error(), _error(text="too many connections")):
        outage.failed(error)
    outage.succeeded()
    outage.succeeded()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the night waits: its server is starting or stopping: wait until it runs, or start it"),
        ("WARNING", "the night waits: all its connections are in use: raise max_connections, or end other clients"),
        ("WARNING", "the database is available again"),
    ]
    assert {(record.name, getattr(record, "source", None)) for record in caplog.records} == {(__name__, 7)}
