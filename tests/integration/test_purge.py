"""`nightread purge` removes what identifies images and what was found in them; the counts stay."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select
from trusted_arrivals import SOP, STUDY, TrustedArrivals

from cli.main import cli
from db import ledger, queries
from db.ledger import Arrival, Expected, FramePrediction, FurtherPrediction, GroundTruth
from db.queries import ImageFilter
from db.store_tables import deliveries, expected, truths, withdrawals
from db.tables import State, audit, contents, instances, metadata, predictions
from imaging.facts import FACT_NAMES, Facts
from nightread.errors import UsageFault
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
CANARY = "CANARY"


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _purge(driver: LedgerDriver, *image_ids: int) -> ledger.Purged:
    ids = queries.with_copies(driver.database, image_ids)
    return ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())


def _run(driver: LedgerDriver, *arguments: str) -> Result:
    url = driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["purge", *arguments, "--database-url", url], catch_exceptions=False)


def _facts() -> Facts:
    """Return facts of which every text holds the canary."""
    texts = {name: f"{CANARY}-{name}"[:64] for name in FACT_NAMES if name not in ("rows", "columns", "frames")}
    return replace(Facts(**{**texts, "study_instance_uid": STUDY, "study_date": "20261105"}), key_id="k", modality="M")


def test_no_word_of_a_purged_image_is_left_in_any_table(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Every text column of the image holds a canary before, and no row of any table afterwards."""
    frame = FramePrediction(frame=0, label=CANARY, score=0.5, scores=[0.5, 0.5])
    further = FurtherPrediction(bundle_id=bundle_id, shadow=True, label=CANARY, score=0.5, frames=(frame,))
    ledger_driver.register(make_arrivals(1, uri=f"{CANARY}.dcm", member_name=CANARY))
    ledger_driver.analyse_all(
        bundle_id=bundle_id,
        facts=_facts(),
        label=CANARY,
        detail=CANARY,
        matched={"description": CANARY},
        remarks=CANARY,
        frames=(frame,),
        further=(further,),
    )
    _add_study_rows(ledger_driver)
    assert CANARY in _dump(ledger_driver)
    assert STUDY in _dump(ledger_driver)
    purged = _purge(ledger_driver, 1)
    assert (purged.images, purged.predictions, purged.reports) == (1, 2, 1)
    left = _dump(ledger_driver)
    assert CANARY not in left
    assert STUDY not in left
    assert list(queries.violations(ledger_driver.database)) == []
    assert queries.tally(ledger_driver.database).done == 1
    (row,) = queries.images(ledger_driver.database)
    assert (row["uri"], row["state"], row["purged_at"]) == (None, "done", ledger_driver.clock())


def _add_study_rows(driver: LedgerDriver) -> None:
    """Add an expected number, a report and ground truth of the study and of the order."""
    database, now = driver.database, driver.clock()
    counted = Expected(study_instance_uid=STUDY, source_id=driver.source_id, reported_by="store", images=1)
    ledger.expect(database, [counted], now=now)
    known = [
        GroundTruth(subject="study", key=STUDY, label="a", present=True),
        GroundTruth(subject="accession", key=f"{CANARY}-accession_key", label="a", present=True),
    ]
    ledger.save_ground_truth(database, known, actor="ann", now=now)
    ledger.draft_delivery(
        database,
        study_instance_uid=STUDY,
        destination="pacs",
        content="c",
        make_uid=lambda: f"{STUDY}.9",
        again=False,
        now=now,
    )


def _dump(driver: LedgerDriver) -> str:
    """Return the text of all rows of all tables."""
    with driver.database.read() as connection:
        return "\n".join(
            str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))
        )


def test_a_purged_file_does_not_come_back_at_the_next_scan(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The same file is known; a changed file is a new arrival, and both are counted."""
    (file,) = make_arrivals(1)
    ledger_driver.register([file])
    ledger_driver.analyse_all()
    _purge(ledger_driver, 1)
    assert ledger_driver.register([file]) == ledger.Registered(new=0, changed=0)
    assert queries.missing_from_ledger(ledger_driver.database, ledger_driver.source_id, [file.uri]) == []
    assert ledger_driver.register([replace(file, size=2)]).new == 1
    ledger_driver.analyse_all(sha256=f"{1:064x}")
    assert ledger_driver.states() == ["done", "done"]
    assert list(queries.violations(ledger_driver.database)) == []


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
    ledger_driver.analyse_all(sha256="a" * 64)
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    (claimed,) = ledger_driver.claim(batch)
    _purge(ledger_driver, 1)
    copy = build_outcome(claimed, state=State.DUPLICATE, sha256="a" * 64, duplicate_of=1)
    assert ledger_driver.record(batch, [copy]) == {"received": 1}
    ledger_driver.analyse_all(sha256="a" * 64)
    assert ledger_driver.states() == ["done", "done"]
    assert list(queries.violations(ledger_driver.database)) == []


def test_unfinished_work_is_cancelled_and_its_late_outcome_is_not_recorded(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Of a waiting, a queued and a running image; their batches end."""
    ledger_driver.register(make_arrivals(1))
    (running,) = ledger_driver.form()
    claimed = ledger_driver.claim(running)
    ledger_driver.register(make_arrivals(1))
    (queued,) = ledger_driver.form()
    ledger_driver.register(make_arrivals(1))
    assert _purge(ledger_driver, 1, 2, 3).cancelled == 3
    assert ledger_driver.record(running, [build_outcome(image) for image in claimed]) == {}
    assert ledger_driver.claim(queued) == []
    assert {(row.state, row.reason) for row in ledger_driver.work()} == {("rejected", "cancelled")}
    assert ledger_driver.predicted() == ledger_driver.open_batches() == []
    assert list(queries.violations(ledger_driver.database)) == []


def test_a_purged_image_is_never_retried(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Neither by its id nor by its reason: its path is unknown."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR)
    _purge(ledger_driver, 1)
    assert ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock()) == 0
    assert list(queries.retriable(ledger_driver.database, ImageFilter(image_ids=(1,)))) == []


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


def test_each_purge_is_audited_with_ids_only(arrivals: TrustedArrivals) -> None:
    """The trace of the image names the entry."""
    image = arrivals.image("ct", "a", uri=f"{CANARY}.dcm")
    driver = arrivals.ledger_driver
    _purge(driver, image)
    with driver.database.read() as connection:
        (entry,) = connection.execute(select(audit)).all()
    assert (entry.action, entry.actor) == ("images.purge", "ann")
    assert entry.detail == {"cause": "image", "images": [image], "cancelled": 0, "predictions": 1, "reports": 0}
    (trace,) = queries.trace(driver.database, [image])
    assert [event.what.value for event in trace.events][-2:] == ["purged", "audit"]
    assert trace.uri is None


def test_a_large_purge_is_many_short_transactions(ledger_driver: LedgerDriver) -> None:
    """Two hundred images each; a second purge finds nothing."""
    ledger_driver.register(build_arrivals(450))
    ledger_driver.analyse_all()
    ids = queries.with_copies(ledger_driver.database, range(1, 451))
    purged = ledger.purge(ledger_driver.database, ids, cause="age", actor="ann", now=ledger_driver.clock())
    assert purged.images == 450
    with ledger_driver.database.read() as connection:
        entries = connection.execute(select(audit.c.detail)).scalars().all()
        assert connection.execute(select(predictions)).first() is None
        assert connection.execute(select(contents)).first() is None
    assert [len(entry["images"]) for entry in entries] == [200, 200, 50]
    assert queries.with_copies(ledger_driver.database, ids) == []


def test_sqlite_overwrites_what_a_purge_deletes(tmp_path: Path, new_sqlite: Any, clock: Any) -> None:
    """The bytes are neither in the file nor in its log after a checkpoint."""
    path = tmp_path / "purged.sqlite3"
    with new_sqlite(path) as database:
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        driver.register(build_arrivals(1, uri=f"{CANARY}-file.dcm"))
        driver.analyse_all(label=f"{CANARY}-label")
        _checkpoint(database)
        assert CANARY.encode() in path.read_bytes()
        _purge(driver, 1)
        _checkpoint(database)
        assert CANARY.encode() not in path.read_bytes()


def _checkpoint(database: Any) -> None:
    with database.read() as connection:
        connection.rollback()
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_dry_run_shows_the_counts_and_changes_nothing(arrivals: TrustedArrivals) -> None:
    """Of the images of the study."""
    arrivals.image("ct", "a")
    arrivals.image("mr", "a")
    before = _dump(arrivals.ledger_driver)
    shown = json.loads(_run(arrivals.ledger_driver, "--study", STUDY, "--dry-run", "--json").output)
    assert (shown["images"], shown["states"], shown["studies"]) == (2, {"done": 1, "duplicate": 1}, 1)
    assert (shown["purged"], shown["dry_run"]) == (0, True)
    assert _dump(arrivals.ledger_driver) == before


def test_the_command_asks_before_it_purges(arrivals: TrustedArrivals) -> None:
    """Without an answer nothing changes; with --yes it says that originals stay."""
    arrivals.image("ct", "a")
    before = _dump(arrivals.ledger_driver)
    refused = CliRunner().invoke(
        cli,
        ["purge", "--study", STUDY, "--database-url", _url(arrivals.ledger_driver)],
        input="n\n",
    )
    assert refused.exit_code != 0
    assert _dump(arrivals.ledger_driver) == before
    output = _run(arrivals.ledger_driver, "--study", STUDY, "--yes").output
    assert "1 image purged." in output
    assert "1 original file outside of the spool stay where they are." in output


def _url(driver: LedgerDriver) -> str:
    return driver.database.writer.url.render_as_string(hide_password=False)


def test_a_study_without_images_loses_its_other_rows(ledger_driver: LedgerDriver) -> None:
    """A store expected images that never arrived."""
    _add_study_rows(ledger_driver)
    shown = json.loads(_run(ledger_driver, "--study", STUDY, "--yes", "--json").output)
    assert shown["purged"] == 0
    with ledger_driver.database.read() as connection:
        for table in (expected, deliveries):
            assert connection.execute(select(table)).all() == []
        assert {row.subject for row in connection.execute(select(truths))} == {"accession"}


def test_old_outcomes_are_purged_unless_a_younger_copy_shows_them(
    arrivals: TrustedArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three old images one has a copy of yesterday."""
    driver = arrivals.ledger_driver
    kept, old = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop="1.2.1.8")
    driver.clock.advance(days=40)
    copy = arrivals.image("mr", "a")
    monkeypatch.setattr("cli.purge.utc_now", driver.clock)
    shown = json.loads(_run(driver, "--older-than", "30", "--yes", "--json").output)
    assert shown["purged"] == 1
    assert queries.purged_among(driver.database, [kept, old, copy]) == {old}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say what to purge"),
        (["--study", "1.2", "--image", "1"], "Say what to purge"),
        (["--study", "1.2", "--issuer", "x"], "--issuer needs --patient"),
        (["--study", "1.2", "--json"], "add --yes"),
    ],
)
def test_a_purge_needs_one_clear_request(ledger_driver: LedgerDriver, arguments: list[str], message: str) -> None:
    """Nothing is purged by accident."""
    with pytest.raises(UsageFault, match=message):
        _run(ledger_driver, *arguments)


def test_spooled_files_and_pictures_are_removed_and_originals_stay(tmp_path: Path, new_sqlite: Any, clock: Any) -> None:
    """Of a received image, its thumbnail and its explanation; those of other images stay."""
    spool, folder, state = tmp_path / "spool" / "ct", tmp_path / "folder", tmp_path / "state"
    state.mkdir()
    with new_sqlite(state / "nightread.sqlite3") as database:
        for root, kind in ((spool, "receiver"), (folder, "folder")):
            root.mkdir(parents=True)
            (root / "a.dcm").write_bytes(b"pixels")
            source_id = ledger.ensure_source(database, name=kind, kind=kind, root=str(root), now=clock())
            LedgerDriver(database=database, clock=clock, source_id=source_id).register(build_arrivals(1, uri="a.dcm"))
    pictures = [
        state / name for name in ("thumbnails/1.png", "thumbnails/12-256.png", "explanations/image-1-frame-0.png")
    ]
    for picture in pictures:
        picture.parent.mkdir(exist_ok=True)
        picture.touch()
    arguments = ["purge", "--image", "1", "--image", "2", "--yes", "--json", "--state", str(state)]
    shown = json.loads(CliRunner().invoke(cli, arguments, catch_exceptions=False).output)
    assert (shown["purged"], shown["files_removed"], shown["originals_untouched"]) == (2, 1, 1)
    assert shown["pictures_removed"] == 2
    assert not (spool / "a.dcm").exists()
    assert (folder / "a.dcm").exists()
    assert [picture.exists() for picture in pictures] == [False, True, False]


def test_the_next_purge_of_a_spool_removes_what_another_host_could_not(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The file of a purged image is due at once, and is named by its place."""
    (file,) = make_arrivals(1)
    ledger_driver.register([file])
    ledger_driver.analyse_all()
    _purge(ledger_driver, 1)
    (spooled,) = queries.spooled_at(ledger_driver.database, ledger_driver.source_id, [file.uri])
    assert (spooled.uri, spooled.is_useless) == (file.uri, True)
    assert list(queries.all_spooled(ledger_driver.database, ledger_driver.source_id)) == []
    assert list(queries.uris_of(ledger_driver.database, ledger_driver.source_id)) == []


def test_the_values_of_an_image_that_are_kept_identify_nobody(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A new column of the tables must be decided about here: kept, or emptied by the purge."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(facts=_facts())
    _purge(ledger_driver, 1)
    with ledger_driver.database.read() as connection:
        row = connection.execute(select(instances)).one()
    kept = {name for name, value in row._mapping.items() if value not in (None, "")}
    assert kept == {"id", "source_id", "uri_key", "size", "mtime_ns", "arrived_at", "purged_at"}
    assert {column.name for column in instances.c} - kept == {
        *FACT_NAMES,
        *("uri", "parent_id", "sha256", "member_name", "sender_id"),
        *("superseded_by", "replaced_by", "withdrawn_by", "withdrawn_code", "conflict_with"),
    }
