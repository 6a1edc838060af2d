"""A host that only registers images: the packages of the extra `worker` are not installed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_files import phantom
from nightread_process import database_of, run, started, wait_until
from redis import Redis

from db import queries
from nightread.contract import BATCH_LISTS

ABSENT = ("tensorflow", "keras", "onnx", "onnxruntime", "pydicom", "cv2", "imagecodecs", "h5py", "jpeg_ls", "rle")
_BLOCKER = f"""\
import sys

class _NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError("not on a producer host", name=name)

sys.meta_path.insert(0, _NotInstalled())
"""
COMMANDS = ("watch", "dispatch", "flower", "status", "query", "audit", "db", "up", "run")
_HELP_OF_EACH = """\
import sys
from cli.main import main

for command in sys.argv[1:]:
    sys.argv = ["nightread", command, "--help"]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
SCANS = 3


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PYTHONPATH with which the libraries of the worker cannot be imported."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "sitecustomize.py").write_text(_BLOCKER)
    return folder


@pytest.mark.parametrize("module", ["tensorflow", "pydicom"])
def test_the_libraries_cannot_be_imported(host: Path, module: str) -> None:
    """This makes sure that the tests below test what they say."""
    command = [sys.executable, "-c", f"import {module}"]
    ended = subprocess.run(command, env={"PYTHONPATH": str(host)}, capture_output=True, text=True, check=False)
    assert "not on a producer host" in ended.stderr


def test_every_command_shows_its_help(host: Path) -> None:
    """Help needs none of these libraries. All commands run in one process, which saves 20 s."""
    calls = [sys.executable, "-c", _HELP_OF_EACH, *COMMANDS]
    ended = subprocess.run(calls, env={"PYTHONPATH": str(host)}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    usages = [line for line in ended.stdout.splitlines() if line.startswith("Usage: nightread ")]
    assert [usage.split()[2] for usage in usages] == list(COMMANDS)


def test_a_command_names_the_extra_to_install(host: Path) -> None:
    """The error is one line with the name of the extra, and the exit code is 2."""
    ended = run("models", "evaluate", "phantom", "--data", "phantom:50", pythonpath=host)
    assert ended.returncode == 2
    assert "pip install 'nightread[worker]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_files_become_rows_and_rows_become_messages(host: Path, tmp_path: Path, redis_url: str) -> None:
    """Watcher, dispatcher and `status` work, and services stop with exit code 0."""
    inbox, state, output = tmp_path / "inbox", tmp_path / "state", tmp_path / "output"
    inbox.mkdir()
    place = ("--state", state, "--redis-url", redis_url)
    assert run("db", "upgrade", *place, pythonpath=host).returncode == 0
    with (
        started("watch", "--inbox", inbox, *place, output=output, pythonpath=host, SETTLE_SECONDS=0.2) as watcher,
        started("dispatch", *place, output=output, pythonpath=host) as dispatcher,
        Redis.from_url(redis_url) as redis,
        database_of(state) as database,
    ):
        for index in range(SCANS):
            (inbox / f"{index}.dcm").write_bytes(phantom(index))
        wait_until(lambda: queries.tally(database).queued == SCANS, seconds=20, what=output.read_text)
        wait_until(lambda: any(map(redis.llen, BATCH_LISTS)), seconds=10, what=output.read_text)
        status = json.loads(run("status", "--json", *place, pythonpath=host).stdout)
        assert (status["arrived"], status["queued"], status["workers"]) == (SCANS, SCANS, [])
        for process in (watcher, dispatcher):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(10) for process in (watcher, dispatcher)] == [0, 0], output.read_text()
