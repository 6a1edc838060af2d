"""A disk counts as short when less than the reserve is free."""

import logging
import shutil
from pathlib import Path

import pytest
import skip_reasons

from nightread.settings import load_settings
from producer.dispatcher import disk
from producer.dispatcher.disk import DiskAlarm, DiskReserve


def reserve(folder: Path, reserve_bytes: float, **knobs: object) -> DiskReserve:
    return DiskReserve(load_settings(None, state_dir=folder, disk_reserve_bytes=int(reserve_bytes), **knobs))


def test_a_short_disk_needs_a_tenth_more_free_space(tmp_path: Path) -> None:
    """Hysteresis avoids flapping at the threshold."""
    a_little_less = shutil.disk_usage(tmp_path).free * 0.95
    assert not reserve(tmp_path, a_little_less).is_short(before=False)
    assert reserve(tmp_path, a_little_less).is_short(before=True)
    assert not reserve(tmp_path, a_little_less / 1.2).is_short(before=True)


def test_the_disk_of_the_sqlite_file_counts_too(tmp_path: Path) -> None:
    """It may be on another disk than logs and spool; a missing folder is ignored."""
    too_much = shutil.disk_usage(tmp_path).free * 2
    url = f"sqlite:///{tmp_path}/record.sqlite3"
    assert reserve(tmp_path / "absent", too_much, database_url=url).is_short(before=False)
    assert not reserve(tmp_path / "absent", too_much).is_short(before=False)
    assert "of the state folder or of SQLite's file has" in reserve(tmp_path / "state", 1, database_url=url).message
    assert "of the state folder has" in reserve(tmp_path, 1).message


@pytest.mark.parametrize("before", [False, True])
def test_without_a_reserve_no_disk_is_short(tmp_path: Path, before: bool) -> None:
    """A reserve of 0 turns the check off."""
    assert not reserve(tmp_path, 0).is_short(before=before)


def test_a_file_system_without_a_size_is_not_short() -> None:
    """File systems of the kernel have no size."""
    kernel = Path("/proc")
    if not kernel.is_dir():
        pytest.skip(skip_reasons.LINUX)
    assert not reserve(kernel, 2**62).is_short(before=False)


def test_the_alarm_comes_before_the_reserve_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once at four times the reserve, and once when a tenth more is free again."""
    caplog.set_level(logging.INFO, "producer")
    of = reserve(tmp_path, 100 * 1024**2)
    alarm = DiskAlarm(of)
    found = []
    for free_mib in (401, 399, 101, 439, 441, 500):
        monkeypatch.setattr(disk, "_free_bytes", lambda _folder, mib=free_mib: mib * 1024**2)
        found.append((alarm.check(), of.is_short(before=False)))
    assert found == [(False, False), (True, False), (True, False), (True, False), (False, False), (False, False)]
    lines = [(record.levelname, record.free_mib, record.alarm_mib) for record in caplog.records]  # type: ignore[attr-defined]
    assert lines == [("WARNING", 399, 400), ("INFO", 441, 400)]


def test_without_a_reserve_there_is_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same setting turns both off."""
    monkeypatch.setattr(disk, "_free_bytes", lambda _folder: 0)
    assert not DiskAlarm(reserve(tmp_path, 0)).check()
