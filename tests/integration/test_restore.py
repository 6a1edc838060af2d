"""`nightread restore`, on both databases: what comes back, and what is refused."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from backup_site import KEY_ID, SITE_KEY, Site, backup_of, disk_full, nightread, rows_of
from databases import downgrade

from cli.backups.archive import ArchiveReader
from db import queries, schema
from db.queries.backups import latest_backup
from nightread.errors import StopWork, UsageFault


def test_what_was_backed_up_comes_back(site: Site, tmp_path: Path) -> None:
    """Counts and results are equal, work that was under way waits again, the audit is clean, and the age is known."""
    file = backup_of(site, tmp_path)
    before, tally = rows_of(site.ledger_driver.database), queries.tally(site.ledger_driver.database)
    restored = site.restore(file)

    assert restored.exit_code == 0, restored.output
    assert "4 images were queued or being analysed at the time of the backup" in restored.output
    with site.new_database() as database:
        assert before["workers"] == before["heartbeats"] == 1
        assert rows_of(database) == before | {"workers": 0, "heartbeats": 0}  # those processes are lost
        now = queries.tally(database)
        assert (now.done, now.rejected, now.waiting, now.queued, now.running) == (3, 1, 6, 0, 0)
        assert (tally.waiting, tally.queued, tally.running) == (2, 2, 2)
        assert list(queries.violations(database)) == []
        assert latest_backup(database) == latest_backup(site.ledger_driver.database)
    model = site.new_state / "bundles" / "own-1" / "model.keras"
    assert model.read_bytes() == b"weights" * 1000
    assert (site.new_state / "site.key").read_text().strip() == SITE_KEY
    assert [path.name for path in (site.new_state / "bundles").iterdir()] == ["own-1"]
    audit = nightread("audit", "--no-queue", "--no-folders", "--state", site.new_state, "--database-url", site.new_url)
    assert audit.exit_code == 0, audit.output


def test_a_restore_overwrites_nothing(site: Site, tmp_path: Path) -> None:
    """A second restore, one over the living database, and one beside a model of this name are refused."""
    file = backup_of(site, tmp_path)
    before = rows_of(site.ledger_driver.database)
    assert site.restore(file, url=site.url).exit_code != 0
    assert rows_of(site.ledger_driver.database) == before
    (site.new_state / "bundles" / "own-1").mkdir(parents=True)
    refused = site.restore(file)
    assert isinstance(refused.exception, UsageFault)
    assert "own-1 exists, and a restore never overwrites anything" in str(refused.exception)
    assert site.restore(file, "--no-bundles").exit_code == 0
    again = site.restore(file, "--no-bundles")
    assert isinstance(again.exception, UsageFault)
    assert "never overwrites" in str(again.exception)


def test_a_restore_needs_the_site_key_of_the_patients(site: Site, tmp_path: Path) -> None:
    """A new key would let patients who opted out in again: the command refuses, unless the key is elsewhere."""
    file = backup_of(site, tmp_path)
    (other := tmp_path / "other.key").write_text("f" * 64)
    (broken := tmp_path / "broken.key").write_text("secret")
    place = ("--state", site.new_state, "--database-url", site.new_url)
    for arguments, said in (
        ((), f"hashed with the site key {KEY_ID}, and backups never contain this key"),
        (("--site-key", other), f"hashed with the site key {KEY_ID}, not with"),
        (("--site-key", broken), "is not a file of `nightread backup --site-key-to`"),
    ):
        refused = nightread("restore", file, *arguments, *place)
        assert isinstance(refused.exception, UsageFault)
        assert said in str(refused.exception)
    assert site.restore(file, "--without-site-key").exit_code == 0
    assert not (site.new_state / "site.key").exists()


def test_a_damaged_backup_is_recognised_before_anything_is_written(site: Site, tmp_path: Path) -> None:
    """One changed byte of the database, of a model and a lost end are each found by --check and by restore."""
    file = backup_of(site, tmp_path)
    assert "is complete and undamaged: 10 arrivals and 1 model" in site.restore(file, "--check").output
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        places = {member.name: member.offset_data + member.size // 2 for member in tar.getmembers()}
    places.pop("manifest.json")
    for name, place in places.items():
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused = site.restore(file)
        assert isinstance(refused.exception, UsageFault)
        assert f"{name} in this backup is damaged" in str(refused.exception)
    file.write_bytes(whole[: places["bundles/own-1/model.keras"]])
    assert isinstance(site.restore(file, "--check").exception, UsageFault)
    assert not site.new_state.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": "9999"}, "schema 9999 of a newer release"),
        ({"format": 2}, "A later release of nightread wrote this backup"),
        ({"rows": None}, "manifest of this backup is damaged"),
        ({"bundles": ["../../x"]}, "does not have the models"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused(site: Site, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """A newer schema, a newer format, a broken manifest, and models that are not there."""
    file = backup_of(site, tmp_path)
    _change_manifest(file, changes)
    refused = site.restore(file)
    assert isinstance(refused.exception, UsageFault | StopWork)
    assert said in str(refused.exception)
    assert not site.new_state.exists()


def test_a_backup_before_an_upgrade_is_upgraded_by_its_restore(site: Site, tmp_path: Path) -> None:
    """A database with an older schema can be backed up; restored, it has the schema of this release."""
    downgrade(site.ledger_driver.database, "0013")
    file = backup_of(site, tmp_path)
    restored = site.restore(file)
    assert restored.exit_code == 0, restored.output
    assert "The schema was upgraded from 0013 to " in restored.output
    with site.new_database() as database:
        schema.require_newest(database)


def test_a_restore_that_fails_leaves_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full disk, the same command works."""
    file = backup_of(site, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(ArchiveReader, "extract", disk_full)
        assert "cannot be restored (No space left on device)" in str(site.restore(file).exception)
    assert site.restore(file).exit_code == 0


def test_other_rows_than_the_manifest_says_are_an_error(site: Site, tmp_path: Path) -> None:
    """The restore counts the rows of each table."""
    file = backup_of(site, tmp_path)
    _change_manifest(file, {"rows": {**rows_of(site.ledger_driver.database), "work": 1}})
    refused = site.restore(file)
    assert isinstance(refused.exception, StopWork)
    assert "differ from the manifest in their number of rows: " in str(refused.exception)
    assert "work" in str(refused.exception)


def _change_manifest(file: Path, changes: dict[str, Any]) -> None:
    with tarfile.open(file) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]  # type: ignore[union-attr]
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            if member.name == "manifest.json":
                content = json.dumps(json.loads(content) | changes).encode()  # noqa: PLW2901
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
