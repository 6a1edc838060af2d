"""A purge takes copies and emptied archives along, and leaves notes, versions and conflicts consistent."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from purge_rows import add_study_rows
from series_driver import SeriesDriver
from sqlalchemy import select
from trusted_arrivals import SOP, STUDY, TrustedArrivals

from db import ledger, queries
from db.ledger import Arrival
from db.queries import ImageFilter
from db.series_tables import series
from db.store_tables import copies, withdrawals
from db.tables import State, audit, work
from imaging.facts import Facts

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _purge(driver: LedgerDriver, *image_ids: int) -> ledger.Purged:
    ids = queries.with_copies(driver.database, image_ids)
    return ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())


def test_notes_and_versions_of_a_study_go_together(arrivals: TrustedArrivals) -> None:
    """The note is found by its study only if its header was stored, so its rows of withdrawals go with the study."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    arrivals.note("ct")
    _purge(arrivals.ledger_driver, old, new)
    with arrivals.ledger_driver.database.read() as connection:
        assert connection.execute(select(withdrawals)).all() == []
    assert arrivals.withdrawn_by(old, new) == [None, None]
    assert list(queries.violations(arrivals.ledger_driver.database)) == []


def test_an_older_version_stays_superseded(arrivals: TrustedArrivals) -> None:
    """The purge of the current version alone does not bring an outdated result back."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    _purge(arrivals.ledger_driver, new)
    assert arrivals.superseded_by(old) == [new]
    assert list(queries.violations(arrivals.ledger_driver.database)) == []


def test_a_conflict_ends_with_the_purge_of_the_other_image(arrivals: TrustedArrivals) -> None:
    """The image that is left is contested by nobody."""
    mine, other = arrivals.image("ct", "a"), arrivals.image("mr", "b")
    assert arrivals.conflict_with(mine) == [other]
    _purge(arrivals.ledger_driver, other)
    assert arrivals.conflict_with(mine) == [None]


def test_an_archive_goes_with_its_last_image(arrivals: TrustedArrivals) -> None:
    """One of two images leaves the archive as it is; with both it is purged, with its copies."""
    archive, first, second = arrivals.archive("ct", "z", "a", "b")
    copy, *_ = arrivals.archive("mr", "z")
    database = arrivals.ledger_driver.database
    one = queries.with_copies(database, [first])
    assert one == [first]
    assert queries.purge_preview(database, one).mixed_archives == (archive,)
    assert queries.with_copies(database, [first, second]) == [copy, first, second, archive]
    assert queries.with_copies(database, [archive]) == [copy, first, second, archive]
    _purge(arrivals.ledger_driver, first, second)
    assert list(queries.violations(database)) == []


def test_copies_are_purged_with_their_original_and_the_bytes_may_come_again(arrivals: TrustedArrivals) -> None:
    """Whichever of them is named; a later copy is analysed, because nobody has its result."""
    first, other = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop="1.2.1.8")
    copy = arrivals.image("mr", "a")
    assert queries.with_copies(arrivals.ledger_driver.database, [copy]) == [copy, first]
    assert _purge(arrivals.ledger_driver, copy).images == 2
    again = arrivals.image("mr", "a")
    assert arrivals.ledger_driver.states() == ["done", "done", "duplicate", "done"]
    database = arrivals.ledger_driver.database
    assert [row["image_id"] for row in queries.images(database, ImageFilter(sop_instance_uid=SOP))] == [again]
    assert other not in queries.purged_among(database, [first, copy, other, again])
    assert list(queries.violations(database)) == []


def test_a_copy_that_was_read_before_the_purge_is_analysed_itself(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Its worker found the original, and the purge came before the outcome was recorded."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(content="a" * 64)
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    (claimed,) = ledger_driver.claim(batch)
    _purge(ledger_driver, 1)
    copy = build_outcome(claimed, state=State.DUPLICATE, content="a" * 64, duplicate_of=1)
    assert ledger_driver.record(batch, [copy]) == {"received": 1}
    assert ledger_driver.work()[1].attempts == 0
    ledger_driver.analyse_all(content="a" * 64)
    assert ledger_driver.states() == ["done", "done"]
    assert list(queries.violations(ledger_driver.database)) == []


def test_copies_of_other_images_stay_known(arrivals: TrustedArrivals) -> None:
    """The sources that sent an image again are forgotten with this image only."""
    first, other = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop="1.2.1.8")
    arrivals.image("mr", "a")
    arrivals.image("mr", "b", sop="1.2.1.8")
    _purge(arrivals.ledger_driver, first)
    with arrivals.ledger_driver.database.read() as connection:
        assert connection.execute(select(copies.c.original_id)).scalars().all() == [other]


def test_a_purged_row_waits_for_nothing_and_is_no_shadow_result(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Neither a row of a re-run nor an image that waits for its source."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    database, now = ledger_driver.database, ledger_driver.clock()
    trial_id = ledger_driver.register_trial_bundle()
    ledger.plan_rerun(database, [1], [trial_id], shadow=True, actor="ann", now=now)
    database.write(lambda connection: connection.execute(work.update().values(not_before=now)))
    _purge(ledger_driver, 1)
    assert [(row.ordinal, row.shadow) for row in ledger_driver.work()] == [(0, False), (1, False)]
    assert ledger_driver.work()[1].not_before is None


def test_the_rows_of_a_study_without_images_are_purged(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Who viewed it stays, without its UID. A study without rows, and one with images, are not audited."""
    database, now = ledger_driver.database, ledger_driver.clock()
    ledger.note_read(database, "study", "1.9", actor="bob", now=now)
    ledger.note_read(database, "image", 7, actor="bob", now=now)
    add_study_rows(ledger_driver)
    purges = [ledger.purge_study_rows(database, study, actor="ann", now=now) for study in (STUDY, STUDY, "1.8")]

    assert purges == [1, 0, 0]
    with database.read() as connection:
        entries = connection.execute(select(audit).order_by(audit.c.id)).all()
    found = [(row.actor, row.action, row.detail) for row in entries if row.action != "truths.save"]
    assert found[:3] == [
        ("bob", "study.read", {"study": "1.9"}),
        ("bob", "image.read", {"image": 7}),
        ("ann", "study.read", {"study": None}),
    ]
    assert found[-1] == ("ann", "images.purge", {"cause": "study", "images": [], "reports": 1})
    assert [action for _, action, _ in found].count("images.purge") == 1


def test_only_studies_without_images_are_forgotten_in_views(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A view of a study that has images keeps its UID; an entry without one stays as it is."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(facts=Facts(study_instance_uid=STUDY))
    database, now = ledger_driver.database, ledger_driver.clock()
    for study in (STUDY, "1.9"):
        ledger.note_read(database, "study", study, actor="bob", now=now)
    ledger.note_read(database, "image", 1, actor="bob", now=now)
    for _ in range(2):
        ledger.forget_purged_studies(database)
        with database.read() as connection:
            details = connection.execute(select(audit.c.detail).order_by(audit.c.id)).scalars().all()
        assert details == [{"study": STUDY}, {"study": None}, {"image": 1}]


def test_a_purge_removes_the_series_of_its_images(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Whose study and series are known; a purge of what is purged already writes no entry."""
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    driver.record([0], series="1.1")
    driver.record([0], series="1.2")
    for facts in (Facts(study_instance_uid=STUDY), Facts(series_instance_uid="1.1"), Facts()):
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(facts=facts)
    for _ in range(2):
        _purge(ledger_driver, 1, 3, 4, 5)
        ledger.purge(ledger_driver.database, [1], cause="image", actor="ann", now=ledger_driver.clock())
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(series.c.series_instance_uid)).scalars().all() == ["1.2"]
        (entry,) = connection.execute(select(audit)).all()
    assert (entry.detail["images"], entry.at) == ([1, 3, 4, 5], ledger_driver.clock())
