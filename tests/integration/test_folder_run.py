"""`nightread run` registers the files of a folder once."""

from pathlib import Path

from db.engine import Database
from nightread.settings import load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake


def test_run_takes_all_and_then_nothing_new(database: Database, tmp_path: Path) -> None:
    """Fresh files need no settling, and the second run finds no new file."""
    settings, counts = load_settings(None, state_dir=tmp_path / "state"), list[int]()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("a", "b", "c.tmp"):
        (inbox / name).touch()
    first = Intake(settings, database, Folder.from_path(inbox, settings), counts.append).register_all()
    again = Folder.from_path(inbox, settings)
    second = Intake(settings, database, again, counts.append).register_all()
    assert (first.new, second.new, second.changed, counts) == (2, 0, 0, [2])
    assert (again.report.known, again.report.temporary) == (2, 1)
