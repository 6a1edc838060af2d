"""Whose copy is it, and which version is the current one."""

from itertools import permutations

import pytest
from night import Night, build_arrivals, build_outcome

from db import ledger
from db.ledger import Arrival
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

CONTENT = "c" * 64
FACTS = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2", modality="DX")


def test_the_same_bytes_twice_in_one_batch_are_done_once(night: Night) -> None:
    """The first of them is done, the other its duplicate, with its facts and without a prediction."""
    night.register(build_arrivals(3))

    assert night.analyse_all(sha256=CONTENT, facts=FACTS) == {"done": 1, "duplicate": 2}

    first, *copies = night.work()
    assert [(row.state, row.duplicate_of, row.score) for row in copies] == [
        (State.DUPLICATE, first.instance_id, None)
    ] * 2
    assert night.predicted() == [first.id]
    assert [row.modality for row in night.instances()] == ["DX"] * 3


def test_the_same_bytes_in_a_later_batch_are_a_duplicate(night: Night) -> None:
    """A copy that arrives days later names the image that was done."""
    night.register(build_arrivals(1))
    night.analyse_all(sha256=CONTENT)
    night.clock.advance(days=3)
    night.register(build_arrivals(1))

    assert night.analyse_all(sha256=CONTENT) == {"duplicate": 1}
    assert night.work()[1].duplicate_of == night.instances()[0].id


def test_known_contents_spare_the_reading(night: Night) -> None:
    """A worker may ask first and record the duplicate unread: it gets the facts of its original."""
    night.register(build_arrivals(2))
    first, second = night.form(images=1)
    night.analyse(first, sha256=CONTENT, facts=FACTS)

    original = ledger.known_contents(night.database, [CONTENT, "0" * 64])
    assert original == {CONTENT: night.instances()[0].id}
    night.analyse(second, state=State.DUPLICATE, sha256=CONTENT, duplicate_of=original[CONTENT])

    assert night.instances()[1].sop_instance_uid == "1.2.3"
    assert night.states() == [State.DONE, State.DUPLICATE]


@pytest.mark.parametrize(("state", "reason"), [(State.FAILED, Reason.KILLED_WORKER), (State.REJECTED, Reason.NO_MODEL)])
def test_bytes_without_a_result_are_taken_up_when_they_come_again(night: Night, state: State, reason: Reason) -> None:
    """A copy of what failed or was rejected is analysed, and owns the content from then on."""
    night.register(build_arrivals(1))
    night.analyse_all(state=state, reason=reason, sha256=CONTENT)
    assert ledger.known_contents(night.database, [CONTENT]) == {}

    for expected in ({"done": 1}, {"duplicate": 1}):
        night.register(build_arrivals(1))
        assert night.analyse_all(sha256=CONTENT) == expected
    assert night.work()[2].duplicate_of == night.instances()[1].id


def test_a_refused_original_does_not_swallow_its_copy(night: Night) -> None:
    """When the first of two copies cannot be stored, the second is done and no duplicate of a failure."""
    night.register(build_arrivals(2))
    (batch,) = night.form()
    first, second = night.claim(batch)

    counts = night.record(
        batch, [build_outcome(first, sha256=CONTENT, label="\ud800"), build_outcome(second, sha256=CONTENT)]
    )

    assert counts == {"failed": 1, "done": 1}
    assert night.states() == [State.FAILED, State.DONE]


def test_a_file_replaced_by_its_own_copy_is_its_own_duplicate(night: Night) -> None:
    """The same path with a new time and the same bytes is a further arrival, and a duplicate."""
    night.register([Arrival(uri="a.dcm", size=1, mtime_ns=1)])
    night.analyse_all(sha256=CONTENT)
    night.register([Arrival(uri="a.dcm", size=1, mtime_ns=2)])

    assert night.analyse_all(sha256=CONTENT) == {"duplicate": 1}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_arrival_is_current_in_whatever_order_they_are_recorded(
    night: Night, order: tuple[int, ...]
) -> None:
    """Of one SOP and Series Instance UID with other bytes one image is current, and the others lead to it."""
    night.register(build_arrivals(3))
    batches = night.form(images=1)
    for index in order:
        night.analyse(batches[index], facts=FACTS)

    newer = {row.id: row.superseded_by for row in night.instances()}
    newest = max(newer)
    assert newer.pop(newest) is None
    assert all(instance < superseded_by <= newest for instance, superseded_by in newer.items())


def test_versions_in_one_batch_supersede_each_other(night: Night) -> None:
    """Three versions of one image in one batch: the last arrival is current."""
    night.register(build_arrivals(3))
    night.analyse_all(facts=FACTS)

    first, second, third = night.instances()
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
def test_other_clashes_supersede_nothing(night: Night, facts: Facts) -> None:
    """Only SOP and Series Instance UID together name one image."""
    night.register(build_arrivals(2))
    first, second = night.form(images=1)
    night.analyse(first, facts=FACTS)
    night.analyse(second, facts=facts)

    assert [row.superseded_by for row in night.instances()] == [None, None]


def test_an_image_without_a_result_supersedes_nothing(night: Night) -> None:
    """A newer version that was rejected leaves the older result current."""
    night.register(build_arrivals(2))
    first, second = night.form(images=1)
    night.analyse(first, facts=FACTS)
    night.analyse(second, facts=FACTS, state=State.REJECTED, reason=Reason.BAD_PIXELS, sha256=CONTENT)

    assert [row.superseded_by for row in night.instances()] == [None, None]
