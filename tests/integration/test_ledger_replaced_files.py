"""A file that is replaced while its image is analysed keeps its row, unless the place belongs to another arrival."""

import pytest
from ledger_driver import LedgerDriver, build_outcome

from db.ledger import Arrival, Claimed
from db.tables import State
from nightread.reasons import Reason


def analyse_one(ledger_driver: LedgerDriver, **fields: object) -> Claimed:
    """Form, claim and record one batch of one image; return what the worker got."""
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.record(batch, [build_outcome(image, **fields)])
    return image


def test_a_file_that_went_back_to_bytes_with_a_row_of_their_own_keeps_its_row(ledger_driver: LedgerDriver) -> None:
    """The place, size and time of the older arrival identify that arrival, so the newer one does not take them over."""
    old, new = Arrival(uri="a.dcm", size=1, mtime_ns=1), Arrival(uri="a.dcm", size=2, mtime_ns=2)
    ledger_driver.register([old])
    analyse_one(ledger_driver)
    ledger_driver.register([new])
    analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.STILL_CHANGING, size=1, mtime_ns=1)
    assert [(row.size, row.mtime_ns) for row in ledger_driver.instances()] == [(1, 1), (2, 2)]
    assert ledger_driver.states() == [State.DONE, State.RECEIVED]


@pytest.mark.parametrize("other", [{"uri": "b.dcm"}, {"size": 3}, {"mtime_ns": 3}], ids=["place", "size", "time"])
def test_a_retry_follows_the_file_unless_all_of_its_identity_is_taken(
    ledger_driver: LedgerDriver, other: dict[str, object]
) -> None:
    """Another arrival that differs in its place, its size or its time does not hold it back."""
    same = {"uri": "a.dcm", "size": 1, "mtime_ns": 1}
    ledger_driver.register([Arrival(**{**same, **other})])  # type: ignore[arg-type]
    analyse_one(ledger_driver)
    ledger_driver.register([Arrival(uri="a.dcm", size=2, mtime_ns=2)])
    analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.STILL_CHANGING, size=1, mtime_ns=1)
    assert (ledger_driver.instances()[1].size, ledger_driver.instances()[1].mtime_ns) == (1, 1)


@pytest.mark.parametrize(("size", "mtime_ns"), [(2, 1), (1, 2)], ids=["size", "time"])
def test_an_outcome_of_replaced_bytes_is_not_recorded(ledger_driver: LedgerDriver, size: int, mtime_ns: int) -> None:
    """One difference is enough; the image waits for its next batch and says why."""
    ledger_driver.register([Arrival(uri="a.dcm", size=1, mtime_ns=1)])
    analyse_one(ledger_driver, size=size, mtime_ns=mtime_ns)
    (row,) = ledger_driver.work()
    assert (row.state, row.reason, row.score) == (State.RECEIVED, Reason.STILL_CHANGING, None)
    assert row.detail == "The file was replaced while it was analysed."
