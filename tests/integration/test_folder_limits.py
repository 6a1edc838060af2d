"""If inotify reaches a limit of the system, scans find every file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons

SOON = 0.05


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_a_limit_on_events_leaves_the_scans(tmp_path: Path, limit: str) -> None:
    """In a user namespace with two watches, or without inotify, every file is found."""
    if not shutil.which("unshare"):
        pytest.skip(skip_reasons.NAMESPACES)
    knob = f"/proc/sys/user/{limit}"
    allowed = "2" if limit == "max_inotify_watches" else "0"
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo {allowed} > {knob} && exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip(skip_reasons.NAMESPACES)
    inbox, state = tmp_path / "inbox", tmp_path / "state"
    for number in range(5):
        (inbox / str(number)).mkdir(parents=True)
        (inbox / str(number) / "a.dcm").touch()
    state.mkdir()
    done = subprocess.run(
        [*inside, sys.executable, "-c", _WATCH_UNTIL_FIVE, str(inbox), str(state)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NIGHTREAD_SETTLE_SECONDS": str(SOON), "NIGHTREAD_SCAN_SECONDS": str(SOON)},
    )
    assert done.stdout == "5\n"
    assert done.stderr.count("no inotify watches" if allowed == "2" else "inotify is unavailable") == 1


_WATCH_UNTIL_FIVE = """
import sys, threading
from pathlib import Path
from db import schema
from db.engine import open_database
from nightread.settings import load_settings
from producer.folders.watch import Inbox, watch
settings = load_settings(state_dir=Path(sys.argv[2]))
database = open_database(settings.sql_url)
schema.upgrade(database)
stop, total = threading.Event(), [0]
def count(arrivals):
    total[0] += arrivals
    if total[0] == 5:
        stop.set()
watch(settings, database, [Inbox(root=Path(sys.argv[1]))], stop, count)
print(total[0])
"""
