"""`nightread purge` shows what it would remove, asks, and removes files that nightread itself made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver, build_arrivals
from purge_rows import add_study_rows, text_of_all_rows
from sqlalchemy import select
from trusted_arrivals import STUDY, TrustedArrivals

from cli.main import cli
from db import ledger, queries
from db.ledger import Arrival
from db.store_tables import deliveries, expected, truths
from nightread.errors import UsageFault

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _run(driver: LedgerDriver, *arguments: str) -> Result:
    url = driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["purge", *arguments, "--database-url", url], catch_exceptions=False)


def test_a_dry_run_shows_the_counts_and_changes_nothing(arrivals: TrustedArrivals) -> None:
    """Of the images of the study."""
    arrivals.image("ct", "a")
    arrivals.image("mr", "a")
    before = text_of_all_rows(arrivals.ledger_driver)
    shown = json.loads(_run(arrivals.ledger_driver, "--study", STUDY, "--dry-run", "--json").output)
    assert (shown["images"], shown["states"], shown["studies"]) == (2, {"done": 1, "duplicate": 1}, 1)
    assert (shown["purged"], shown["dry_run"]) == (0, True)
    assert text_of_all_rows(arrivals.ledger_driver) == before


def test_the_command_asks_before_it_purges(arrivals: TrustedArrivals) -> None:
    """Without an answer nothing changes; with --yes it says that originals stay."""
    arrivals.image("ct", "a")
    before = text_of_all_rows(arrivals.ledger_driver)
    refused = CliRunner().invoke(
        cli,
        ["purge", "--study", STUDY, "--database-url", _url(arrivals.ledger_driver)],
        input="n\n",
    )
    assert refused.exit_code != 0
    assert text_of_all_rows(arrivals.ledger_driver) == before
    output = _run(arrivals.ledger_driver, "--study", STUDY, "--yes").output
    assert "1 image purged." in output
    assert "1 original file outside of the spool stay where they are." in output


def _url(driver: LedgerDriver) -> str:
    return driver.database.writer.url.render_as_string(hide_password=False)


def test_a_study_without_images_loses_its_other_rows(ledger_driver: LedgerDriver) -> None:
    """A store expected images that never arrived."""
    add_study_rows(ledger_driver)
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


def test_the_write_ahead_log_keeps_nothing_of_purged_images(tmp_path: Path, new_sqlite: Any, clock: Any) -> None:
    """Also while other processes have the database open, so that SQLite does not remove the file."""
    path = tmp_path / "nightread.sqlite3"
    with new_sqlite(path) as database:
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        driver.register(build_arrivals(1, uri="zqcanary.dcm"))
        assert _held(path)

        CliRunner().invoke(cli, ["purge", "--image", "1", "--yes", "--state", str(tmp_path)], catch_exceptions=False)

        assert not _held(path)


def _held(path: Path) -> bool:
    """Return whether the database or its log has the name of the image."""
    files = [each for each in (path, path.with_name(path.name + "-wal")) if each.exists()]
    return any(b"zqcanary" in each.read_bytes() for each in files)
