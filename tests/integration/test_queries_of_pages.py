"""The queries of the pages count the same on SQLite and PostgreSQL as plain SQL does."""

from collections import Counter
from datetime import timedelta

import pytest
from mixed_night import MORNING, SINCE, MixedNight, fill_mixed_night
from sqlalchemy import insert, select, text, update

from db import ledger, queries
from db.engine import Database
from db.queries.night_arrivals import night_arrivals
from db.tables import instances, work

UNTIL = SINCE + timedelta(hours=13)
WITHIN = "i.arrived_at >= :since AND i.arrived_at < :until"
COUNTED = f"SELECT count(*) FROM instances i WHERE {WITHIN}"  # noqa: S608 - our own text
JOINED = f"FROM instances i JOIN work w ON w.instance_id = i.id AND w.ordinal = 0 WHERE {WITHIN}"


@pytest.fixture
def night(database: Database) -> MixedNight:
    """A night of 200 images after seven nights of 30, of which three images are unfinished."""
    return fill_mixed_night(database, images=200, earlier=30, unfinished=3)


def test_the_counts_of_a_night(database: Database, night: MixedNight) -> None:
    """By state, reason, label, and by ten minutes of arrival and outcome."""
    counts = queries.period_counts(database, since=SINCE, until=UNTIL)

    assert counts.tally.adds_up
    assert (counts.tally.arrived, counts.tally.waiting) == (200, 3)
    states = Counter(dict(rows(database, f"SELECT w.state, count(*) {JOINED} GROUP BY w.state")))
    states["waiting"] = states.pop("received")
    assert {state: getattr(counts.tally, state) for state in states} == states
    assert dict(counts.reasons) == {
        (state, reason): images
        for state, reason, images in rows(
            database, f"SELECT w.state, w.reason, count(*) {JOINED} AND w.reason IS NOT NULL GROUP BY 1, 2"
        )
    }
    assert {one.label: one.images for one in counts.labels} == dict(
        rows(database, f"SELECT w.label, count(*) {JOINED} AND w.label IS NOT NULL GROUP BY 1")
    )
    assert sum(counts.arrived_at.values()) == 200
    assert sum(counts.finished_at.values()) == 197
    assert all(moment.minute % 10 == 0 and moment.second == 0 for moment in counts.arrived_at)
    assert min(counts.arrived_at) >= SINCE
    assert counts.last_outcome is not None
    assert counts.last_outcome > SINCE


@pytest.mark.parametrize("before", [timedelta(minutes=1), timedelta(hours=5)])
def test_ids_that_do_not_follow_times(database: Database, night: MixedNight, before: timedelta) -> None:
    """Images of earlier times with ids among those of the night are not counted, whether one or all came earlier."""
    ids = [int(str(number)) for (number,) in rows(database, COUNTED.replace("count(*)", "i.id"))]
    moved = update(instances).where(instances.c.id.in_(ids[50:150:10])).values(arrived_at=SINCE - before)
    database.write(lambda connection: connection.execute(moved))

    counts = queries.period_counts(database, since=SINCE, until=UNTIL)
    assert counts.tally.arrived == 190
    assert counts.tally.adds_up
    assert sum(counts.reasons.values()) == len(
        rows(database, f"SELECT i.id {JOINED} AND w.state IN ('failed', 'rejected')")
    )
    assert queries.period_counts(database, since=SINCE - before, until=SINCE).tally.adds_up


def test_images_retried_after_the_night_are_told_from_the_others(database: Database, night: MixedNight) -> None:
    """Their outcomes are counted apart; the last outcome of the other images is theirs, late or not."""
    statement = f"SELECT i.id {JOINED} AND w.state IN ('failed', 'rejected')"
    ended = [int(str(number)) for (number,) in rows(database, statement)]
    assert queries.retried_later(database, since=SINCE, until=UNTIL) is None

    ledger.retry(database, ended, actor="anna", now=UNTIL + timedelta(days=2))
    again = update(work).where(work.c.instance_id == ended[0], work.c.ordinal == 0)
    done_at = UNTIL + timedelta(days=3)
    database.write(lambda connection: connection.execute(again.values(state="done", finished_at=done_at)))

    found = queries.retried_later(database, since=SINCE, until=UNTIL)
    assert found is not None
    assert (found.finished, found.unfinished) == (1, len(ended) - 1)
    assert found.last_other_outcome is not None
    assert SINCE < found.last_other_outcome < UNTIL
    assert queries.period_counts(database, since=SINCE, until=UNTIL).last_outcome == done_at


def test_further_results_are_noticed(database: Database, night: MixedNight) -> None:
    """One row of work besides the answers is enough."""
    assert not queries.has_further_results(database)

    further = {"id": 10**6, "instance_id": 1, "ordinal": 1, "state": "done", "bundle_id": night.bundle_id}
    counters = {"attempts": 0, "deaths": 0, "expiries": 0, "priority": 5, "alone": False}
    database.write(lambda connection: connection.execute(insert(work).values(**further, **counters)))

    assert queries.has_further_results(database)


def test_the_intervals_hold_what_arrived_in_them(database: Database, night: MixedNight) -> None:
    """Each ten minutes, compared one by one."""
    counts = queries.period_counts(database, since=SINCE, until=UNTIL)

    for begin, images in counts.arrived_at.items():
        end = begin + timedelta(minutes=10)
        assert rows(database, COUNTED, since=begin, until=end) == [(images,)]


def test_a_period_that_begins_and_ends_with_an_arrival(database: Database, night: MixedNight) -> None:
    """The first arrival is counted and the last is not, and the ids are those of the counted arrivals."""
    with database.read() as connection:
        times = connection.execute(select(instances.c.arrived_at).order_by(instances.c.arrived_at)).scalars().all()
        since, until = times[-150], times[-20]
        found = night_arrivals(connection, since, until)
        within = select(instances.c.id).where(instances.c.arrived_at >= since, instances.c.arrived_at < until)
        ids = connection.execute(within).scalars().all()
        none = night_arrivals(connection, until, until)

    counted = Counter(at.replace(minute=at.minute // 10 * 10, second=0, microsecond=0) for at in times[-150:-20])
    assert (found.at, list(found.at)) == (counted, sorted(counted))
    assert (found.images, found.first_id, found.last_id) == (130, min(ids), max(ids))
    assert none.at == {}
    assert none.first_id > none.last_id


def test_the_ids_of_a_period_are_read_from_an_index(database: Database) -> None:
    """On SQLite by the plan; on PostgreSQL, which would scan a small table, by the columns of the index."""
    ids = "SELECT min(id + 0) FROM instances WHERE arrived_at >= '2026-01-01'"
    if database.is_sqlite:
        ((*_, step),) = rows(database, f"EXPLAIN QUERY PLAN {ids}")
        assert "COVERING INDEX ix_instances_arrived_at" in str(step)
    else:
        ((definition,),) = rows(database, "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_instances_arrived_at'")
        assert str(definition).endswith("USING btree (arrived_at) INCLUDE (id)")


def test_labels_of_earlier_nights_are_sampled_evenly(database: Database, night: MixedNight) -> None:
    """All of a night with few images; a tenth of them if only three are wanted, and no night without results."""
    nights = [(SINCE - timedelta(days=days), UNTIL - timedelta(days=days)) for days in range(9)]

    every = queries.sample_labels(database, nights)
    assert [sum(sample.labels.values()) for sample in every] == [sample.results for sample in every]
    assert len(every) == 8
    assert every[0].results == queries.period_counts(database, since=SINCE, until=UNTIL).tally.done
    assert all(0 < sample.results <= 3 for sample in queries.sample_labels(database, nights[1:3], most=3))


def test_the_most_suspicious_images(database: Database, night: MixedNight) -> None:
    """In the order in which `query --sort suspicion` has them."""
    found = queries.most_suspicious(database, since=SINCE, until=UNTIL, limit=5)

    wanted = queries.ImageFilter(since=SINCE, until=UNTIL, current=True, sort="suspicion", limit=5)
    assert found == list(queries.images(database, wanted))
    assert len(found) == 5


def test_studies_that_miss_images(database: Database, night: MixedNight) -> None:
    """The one study of the night, and the list of the newest studies with the same numbers as `studies`."""
    (study,) = queries.incomplete_studies(database, since=SINCE, until=MORNING + timedelta(seconds=1))
    assert (study.study_instance_uid, study.missing) == (night.incomplete, 4)

    newest = queries.latest_studies(database, now=MORNING, since=SINCE, until=UNTIL, limit=3)
    every = list(queries.studies(database, now=MORNING, since=SINCE, until=UNTIL, limit=3))
    assert newest == every


def test_failures_by_reason_and_source(database: Database, night: MixedNight) -> None:
    """Groups with their numbers, and the newest images of each reason."""
    groups = queries.failure_groups(database, since=SINCE, until=UNTIL)
    counts = queries.period_counts(database, since=SINCE, until=UNTIL)
    assert {(group.state, group.reason): group.images for group in groups} == dict(counts.reasons)

    ids = queries.failure_examples(database, since=SINCE, until=UNTIL, each=1)
    newest = rows(
        database, f"SELECT max(i.id) {JOINED} AND w.state IN ('failed', 'rejected') GROUP BY w.state, w.reason"
    )
    assert sorted(ids) == sorted(image for (image,) in newest)


def test_batches_page_by_page(database: Database, night: MixedNight) -> None:
    """Every batch once, the newest first, and the totals of each worker."""
    found: list[str] = []
    before = None
    while records := queries.batch_records(database, limit=4, before=before):
        found += [record.id for record in records]
        before = records[-1].created_at, records[-1].id
    assert found == [one for (one,) in rows(database, "SELECT id FROM batches ORDER BY created_at DESC, id DESC")]

    totals = queries.node_totals(database, since=SINCE)
    assert sum(total.images for total in totals.by_node) == 197
    assert totals.left_out_before is None
    latest = queries.node_totals(database, since=SINCE, most=3)
    assert sum(total.batches for total in latest.by_node) == 3
    assert latest.left_out_before == queries.batch_records(database, limit=3)[-1].created_at
    assert queries.batch_records(database, limit=1, batch_id=found[0])[0].requeued == 0


def test_everything_about_one_image(database: Database, night: MixedNight) -> None:
    """Its answer, its columns and its batch; nothing for an unknown id."""
    facts = queries.image_facts(database, 200)
    assert facts is not None
    assert facts.image["image_id"] == facts.stored["id"] == 200
    assert facts.digests == {"phantom@1.1": "d" * 64}
    assert queries.image_facts(database, 10**9) is None


def rows(database: Database, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Return the rows of a statement about the night."""
    moments = {"since": SINCE, "until": UNTIL, **values}
    bound = {name: moment for name, moment in moments.items() if f":{name}" in statement}
    if database.is_sqlite:
        bound = {name: f"{moment:%Y-%m-%d %H:%M:%S.%f}" for name, moment in bound.items()}
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement), bound)]
