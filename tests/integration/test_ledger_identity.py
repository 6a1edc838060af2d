"""Duplicates by hash, versions by SOP Instance UID."""

from itertools import permutations

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger import Arrival
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

CONTENT = "c" * 64
FACTS = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2", modality="DX")


def test_the_same_bytes_twice_in_one_batch_are_done_once(ledger_driver: LedgerDriver) -> None:
    """The first one is done; the other is its duplicate, with its facts and without a prediction."""
    ledger_driver.register(build_arrivals(3))

    assert ledger_driver.analyse_all(content=CONTENT, facts=FACTS) == {"done": 1, "duplicate": 2}

    first, *copies = ledger_driver.work()
    assert [(row.state, row.duplicate_of, row.score) for row in copies] == [
        (State.DUPLICATE, first.instance_id, None)
    ] * 2
    assert ledger_driver.predicted() == [first.id]
    assert [row.modality for row in ledger_driver.instances()] == ["DX"] * 3


def test_a_duplicate_has_no_remark(ledger_driver: LedgerDriver) -> None:
    """The remark stands beside the result, which the original has."""
    ledger_driver.register(build_arrivals(2))

    ledger_driver.analyse_all(content=CONTENT, remarks="voi_not_used", detail="A sentence.")

    assert [(row.state, row.remarks, row.detail) for row in ledger_driver.work()] == [
        ("done", "voi_not_used", "A sentence."),
        ("duplicate", None, None),
    ]


def test_the_same_bytes_in_a_later_batch_are_a_duplicate(ledger_driver: LedgerDriver) -> None:
    """A copy that arrives days later names the done image."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(content=CONTENT)
    ledger_driver.clock.advance(days=3)
    ledger_driver.register(build_arrivals(1))

    assert ledger_driver.analyse_all(content=CONTENT) == {"duplicate": 1}
    assert ledger_driver.work()[1].duplicate_of == ledger_driver.instances()[0].id


def test_known_contents_need_not_be_read(ledger_driver: LedgerDriver) -> None:
    """A worker may look up the hash and record the duplicate unread; it gets the facts of its original."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    ledger_driver.analyse(first, content=CONTENT, facts=FACTS)

    original = ledger.known_contents(ledger_driver.database, [CONTENT, "0" * 64])
    assert original == {CONTENT: ledger_driver.instances()[0].id}
    ledger_driver.analyse(second, state=State.DUPLICATE, content=CONTENT, duplicate_of=original[CONTENT])

    assert ledger_driver.instances()[1].sop_instance_uid == "1.2.3"
    assert ledger_driver.states() == [State.DONE, State.DUPLICATE]


@pytest.mark.parametrize(("state", "reason"), [(State.FAILED, Reason.KILLED_WORKER), (State.REJECTED, Reason.NO_MODEL)])
def test_a_copy_of_bytes_without_a_result_is_analysed(
    ledger_driver: LedgerDriver, state: State, reason: Reason
) -> None:
    """A copy of failed or rejected bytes is analysed, and owns the content afterwards."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(state=state, reason=reason, content=CONTENT)
    assert ledger.known_contents(ledger_driver.database, [CONTENT]) == {}

    for expected in ({"done": 1}, {"duplicate": 1}):
        ledger_driver.register(build_arrivals(1))
        assert ledger_driver.analyse_all(content=CONTENT) == expected
    assert ledger_driver.work()[2].duplicate_of == ledger_driver.instances()[1].id


def test_a_copy_of_an_unstorable_image_is_done(ledger_driver: LedgerDriver) -> None:
    """If the first of two copies cannot be stored, the second is done and no duplicate of a failure."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    first, second = ledger_driver.claim(batch)

    counts = ledger_driver.record(
        batch, [build_outcome(first, content=CONTENT, label="\ud800"), build_outcome(second, content=CONTENT)]
    )

    assert counts == {"failed": 1, "done": 1}
    assert ledger_driver.states() == [State.FAILED, State.DONE]


def test_a_file_replaced_by_its_own_copy_is_its_own_duplicate(ledger_driver: LedgerDriver) -> None:
    """The same path with a new time and the same bytes is a further arrival and a duplicate."""
    ledger_driver.register([Arrival(uri="a.dcm", size=1, mtime_ns=1)])
    ledger_driver.analyse_all(content=CONTENT)
    ledger_driver.register([Arrival(uri="a.dcm", size=1, mtime_ns=2)])

    assert ledger_driver.analyse_all(content=CONTENT) == {"duplicate": 1}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_arrival_is_current_in_every_order_of_records(
    ledger_driver: LedgerDriver, order: tuple[int, ...]
) -> None:
    """With the same SOP and Series Instance UID one image is current, and the others lead to it."""
    ledger_driver.register(build_arrivals(3))
    batches = ledger_driver.form(images=1)
    for index in order:
        ledger_driver.analyse(batches[index], facts=FACTS)

    newer = {row.id: row.superseded_by for row in ledger_driver.instances()}
    newest = max(newer)
    assert newer.pop(newest) is None
    assert all(instance < superseded_by <= newest for instance, superseded_by in newer.items())


def test_versions_in_one_batch_supersede_each_other(ledger_driver: LedgerDriver) -> None:
    """Of three versions of one image in one batch the last arrival is current."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(facts=FACTS)

    first, second, third = ledger_driver.instances()
    assert [first.superseded_by, second.superseded_by, third.superseded_by] == [third.id, third.id, None]


@pytest.mark.parametrize(
    "facts",
    [
        Facts(sop_instance_uid="1.2.3", series_instance_uid="9.9"),
        Facts(sop_instance_uid="1.2.4", series_instance_uid="1.2"),
        Facts(sop_instance_uid="1.2.3"),
        Facts(),
    ],
    ids=["another series", "another image", "no series", "no UID at all"],
)
def test_one_equal_uid_alone_supersedes_nothing(ledger_driver: LedgerDriver, facts: Facts) -> None:
    """Only the SOP and the Series Instance UID together identify an image."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    ledger_driver.analyse(first, facts=FACTS)
    ledger_driver.analyse(second, facts=facts)

    assert [row.superseded_by for row in ledger_driver.instances()] == [None, None]


def test_an_image_without_a_result_supersedes_nothing(ledger_driver: LedgerDriver) -> None:
    """A newer version that was rejected leaves the older result current."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    ledger_driver.analyse(first, facts=FACTS)
    ledger_driver.analyse(second, facts=FACTS, state=State.REJECTED, reason=Reason.BAD_PIXELS, content=CONTENT)

    assert [row.superseded_by for row in ledger_driver.instances()] == [None, None]
