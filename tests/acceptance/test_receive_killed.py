"""`nightread up` with a folder and a receiver; the receiver is killed while it receives."""

import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest
from cstore_receiver import write_copies
from dicom_files import phantom
from dicom_peers import dcmtk, echoscu, free_port, storescu
from nightread_process import database_of, images, run, started, wait_until

from db import queries

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

ASSOCIATIONS = 8
SCANS = 240
_ACKNOWLEDGED = re.compile(r"Sending file: (\S+)(?:(?!Sending file).)*?Received Store Response \(Success\)", re.DOTALL)
_SETTINGS = """
model = "phantom"
flower_port = 0
workers = 1

[[sources]]
kind = "receiver"
name = "pacs"
port = {port}
priority = 2

[[sources]]
kind = "folder"
name = "drop"
path = "{inbox}"
"""


@pytest.fixture
def port() -> int:
    """Return a free port for the receiver."""
    return free_port()


@pytest.fixture
def state(tmp_path: Path, port: int) -> Iterator[Path]:
    """Start `up`, wait until its receiver responds, and return its state folder."""
    (tmp_path / "inbox").mkdir()
    config = tmp_path / "nightread.toml"
    config.write_text(_SETTINGS.format(port=port, inbox=tmp_path / "inbox"))
    state, output = tmp_path / "state", tmp_path / "output"
    with started("up", "--config", config, "--state", state, output=output):
        wait_until(lambda: echoscu(port).returncode == 0, seconds=30, what=output.read_text)
        yield state


@pytest.mark.slow
def test_acknowledged_images_are_in_the_database_after_a_kill(tmp_path: Path, state: Path, port: int) -> None:
    """The receiver is killed during eight associations; all images are sent again, and copies become duplicates."""
    write_copies(tmp_path / "sent", images=SCANS, folders=ASSOCIATIONS)
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        sending = [pool.submit(storescu, port, "-v", "+sd", tmp_path / "sent" / str(n)) for n in range(ASSOCIATIONS)]
        wait_until(lambda: _received(state) >= SCANS // 4, seconds=30, what=lambda: f"{_received(state)} received")
        _kill_receiver(state)
    first = [one.result() for one in sending]
    acknowledged = {path for one in first for path in _ACKNOWLEDGED.findall(one.stderr + one.stdout)}
    assert SCANS // 4 <= len(acknowledged) < SCANS

    wait_until(lambda: echoscu(port).returncode == 0, seconds=30, what=(state / "logs" / "receive.log").read_text)
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        again = list(pool.map(lambda n: storescu(port, "+sd", tmp_path / "sent" / str(n)), range(ASSOCIATIONS)))
    assert [one.returncode for one in again] == [0] * ASSOCIATIONS
    (tmp_path / "inbox" / "dropped.dcm").write_bytes(phantom(2))

    arrivals = len(acknowledged) + SCANS + 1
    wait_until(
        lambda: _all_final(state, arrivals), seconds=60, what=lambda: str(run("status", "--state", state).stdout)
    )
    rows = images(state)
    received = [row for row in rows if row["source"] == "pacs"]
    times = Counter(row["sop_instance_uid"] for row in received if row["state"] in ("done", "duplicate"))
    twice = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in acknowledged}
    assert Counter(row["state"] for row in received) == {"done": SCANS, "duplicate": len(received) - SCANS}
    assert {times[uid] for uid in twice} == {2}
    assert [row["state"] for row in rows if row["source"] == "drop"] == ["done"]
    assert run("audit", "--state", state).returncode == 0
    with database_of(state) as database:
        assert all(receipt.ended_at for receipt in queries.associations(database))


@pytest.mark.slow
def test_the_receiver_runs_until_sigterm(tmp_path: Path, port: int, redis_url: str) -> None:
    """A caller on the list is accepted, another rejected; SIGTERM stops it although a client is connected."""
    state, output = tmp_path / "state", tmp_path / "output"
    assert run("db", "upgrade", "--state", state).returncode == 0
    options = ("--port", str(port), "--caller", "CT1", "--state", state, "--redis-url", redis_url)
    with started("receive", *options, output=output) as process:
        wait_until(lambda: "listening" in output.read_text(), seconds=20, what=output.read_text)
        assert dcmtk("echoscu", "-aet", "CT1", "-aec", "NIGHTREAD", port=port).returncode == 0
        assert echoscu(port).returncode != 0
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, output.read_text()
    assert "CALLING_AE_TITLE_NOT_RECOGNIZED" in output.read_text()


def _received(state: Path) -> int:
    with database_of(state) as database:
        return sum(receipt.received for receipt in queries.associations(database))


def _kill_receiver(state: Path) -> None:
    (receiver,) = [process for process in psutil.process_iter(["cmdline", "environ"]) if _is_receiver(process, state)]
    receiver.send_signal(signal.SIGKILL)


def _is_receiver(process: psutil.Process, state: Path) -> bool:
    info: dict[str, Any] = process.info  # type: ignore[attr-defined]
    same_state = (info["environ"] or {}).get("NIGHTREAD_STATE_DIR") == str(state)
    return same_state and (info["cmdline"] or [])[-2:] == ["cli", "receive"]


def _all_final(state: Path, arrivals: int) -> bool:
    with database_of(state) as database:
        tally = queries.tally(database)
    return tally.unfinished == 0 and tally.arrived >= arrivals
