"""A real bad night of a quarter of an hour: faults come together, each raises its alarm in time, once, and clears.

`nightread up` runs on a settings file with a folder, a receiver, a store and a destination. A web server in this
process is the store, the destination, the outside monitor, and the receiver of the webhook. What needs hours is in
tests/integration/test_alarm_night.py, on a simulated clock: a habit, a worker that hangs for ten minutes, the hour of a
broken model.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import psutil
import pydicom
import pytest
from compose_processes import free_port
from dicom_files import phantom
from nightread_process import run, started, wait_until
from patient_markers import BORN, PATIENT, PLACE, marked_scans
from pynetdicom import AE
from small_disk import small_disk
from up_process import UpProcess
from web_server import Reply, Request, WebServer, running_web_server

from delivery.alarms.channels import SIGNATURE_HEADER, signature

pytestmark = [pytest.mark.slow, pytest.mark.night, pytest.mark.timeout(1800)]
SECRET = "a secret of sixteen"
MIB = 1024**2
Key = tuple[str, str]
"""Rule and subject of an alarm; the subject without the name of the host."""


@dataclass(kw_only=True)
class Site:
    """The running system, and what breaks of it."""

    up: UpProcess
    config: Path
    disk: Path
    receiver_port: int
    web: WebServer
    away: threading.Event = field(default_factory=threading.Event)
    """Set: the store and the destination answer with status 503."""
    sent: int = 0
    broken_at: dict[Key, float] = field(default_factory=dict)
    seconds: dict[Key, float] = field(default_factory=dict)
    """How long it took until the alarm was opened."""

    def events(self) -> Counter[tuple[str, str, str]]:
        """Count what the webhook received: event, rule and subject. Each message has a genuine signature."""
        found: Counter[tuple[str, str, str]] = Counter()
        for request in list(self.web.asked):
            if request.path == "/alarms":
                at = int(request.headers[SIGNATURE_HEADER].partition(",")[0].removeprefix("t="))
                assert request.headers[SIGNATURE_HEADER] == signature(SECRET, at, request.body)
                body = json.loads(request.body)
                found[body["event"], body["rule"], _without_host(body["subject"])] += 1
        return found

    def pings(self) -> int:
        """Return how many heartbeats the outside monitor received."""
        return sum(request.path == "/ping" for request in list(self.web.asked))

    def status(self) -> str:
        """Return the first line of `nightread status --check`."""
        return run("status", "--check", "--config", self.config, "--state", self.up.state).stdout

    def breaks(self, *keys: Key) -> None:
        """Note that these alarms must come from now on."""
        for key in keys:
            self.broken_at[key] = time.monotonic()

    def require(self, event: str, *keys: Key, seconds: float) -> None:
        """Wait until the webhook has received this event of all these alarms."""
        for key in keys:
            wait_until(
                lambda key=key: self.events()[event, *key] > 0,  # type: ignore[misc]
                seconds=seconds,
                what=lambda key=key: f"{event} {key}: {self.events()} {self.status()} {self.up.describe()}",  # type: ignore[misc]
            )
            if event == "opened":
                self.seconds[key] = time.monotonic() - self.broken_at[key]

    def send(self) -> None:
        """Send one image to the receiver by C-STORE."""
        self.sent += 1
        self.up.dropped += 1
        scan = pydicom.dcmread(BytesIO(phantom(5000 + self.sent)))
        entity = AE(ae_title="CT1")
        entity.add_requested_context(scan.SOPClassUID, scan.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", self.receiver_port, ae_title="NIGHTREAD")
        assert association.is_established
        assert association.send_c_store(scan).Status == 0
        association.release()


def _without_host(subject: str) -> str:
    """Return `dispatcher` for `dispatcher HOST`; names of sources stay."""
    return subject.partition(" ")[0]


def _answer(away: threading.Event) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if not request.path.startswith("/dicom-web"):
            return Reply()
        if away.is_set():
            return Reply(status=503)
        if request.body:  # a report by STOW-RS
            return Reply()
        return Reply(body=[b"[]"], headers={"Content-Type": "application/dicom+json"})

    return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start `up`, and wait until all parts work."""
    folder = tmp_path_factory.mktemp("night")
    away = threading.Event()
    with small_disk(folder / "spool", mib=64) as disk, running_web_server(_answer(away)) as web:
        up, port, config = UpProcess(folder=folder), free_port(), folder / "nightread.toml"
        secret = folder / "secret"
        secret.write_text(f"{SECRET}\n")
        by = (datetime.now(UTC) + timedelta(minutes=3)).strftime("%H:%M")
        text = _CONFIG.format(inbox=up.inbox, port=port, web=web.url, spool=disk, secret=secret, by=by)
        config.write_text(text)
        arguments = ("up", "--config", config, "--state", up.state, "--model", "phantom", "--workers", "1")
        with started(*arguments, "--flower-port", "0", "--api-port", "0", output=up.output) as up.process:
            site = Site(up=up, config=config, disk=disk, receiver_port=port, web=web, away=away)
            wait_until(lambda: site.status().startswith("Running"), seconds=240, what=site.status)
            yield site


PARTS = {"dispatcher": "cli dispatch", "receiver": "cli receive"}
DISK = ("disk", "")


def test_nothing_arrives_until_something_does(site: Site) -> None:
    """By the time of `alarm_arrivals_by`, per source; a person acknowledges that of the store, which stays open."""
    keys = [("no_arrivals", name) for name in ("inbox", "modalities", "store")]
    site.breaks(*keys)
    site.require("opened", *keys, seconds=300)
    assert set(site.events()) == {("opened", *key) for key in keys}
    site.up.drop_phantoms(1)
    for name, content in marked_scans().items():
        if name == "cut.dcm":
            continue  # it would wait for its rest for ten minutes
        site.up.drop(f"{PLACE}/{PLACE}-{name}", content)
    site.send()
    site.require("closed", *keys[:2], seconds=300)
    listed = json.loads(run("alarms", "--json", "--config", site.config, "--state", site.up.state).stdout)["alarms"]
    (number,) = [alarm["id"] for alarm in listed if alarm["subject"] == "store"]
    done = run("alarms", "ack", str(number), "--config", site.config, "--state", site.up.state)
    assert done.returncode == 0, done.stderr


def test_faults_that_come_together_raise_one_alarm_each(site: Site) -> None:
    """The disk fills, the folder is away, store and destination are away, dispatcher and receiver stand still."""
    filler = site.disk / "filler"
    moved = site.up.inbox.with_name("moved")
    site.breaks(DISK, ("source_away", "store"), ("source_away", "inbox"), ("destination_away", "archive"))
    site.away.set()
    site.up.drop_phantoms(1)
    site.up.wait_until_all_final(120)
    filler.write_bytes(bytes(56 * MIB))
    site.up.inbox.rename(moved)
    site.require("opened", DISK, seconds=90)
    stopped = _stop(site, "dispatcher")
    site.require("opened", ("part_silent", "dispatcher"), ("destination_away", "archive"), seconds=240)
    assert "dispatcher is silent" in site.status()
    site.require("opened", ("source_away", "store"), ("source_away", "inbox"), seconds=400)

    filler.unlink()
    _continue(stopped)
    site.away.clear()
    moved.rename(site.up.inbox)
    stopped = _stop(site, "receiver")
    site.require("opened", ("part_silent", "receiver"), seconds=240)
    assert "receiver is silent" in site.status()
    _continue(stopped)
    # Not at its next attempt; the exit code is 1 if the sender of `up` has the same report in hand.
    run("send-results", "--config", site.config, "--state", site.up.state, seconds=400)
    site.require("closed", *site.broken_at.keys() - {("no_arrivals", "store")}, seconds=500)


def test_redis_stands_still(site: Site) -> None:
    """The dispatcher notices it; a file that is dropped meanwhile is analysed afterwards."""
    (redis,) = [process for process in site.up.family() if "redis.sock" in " ".join(_command(process))]
    site.breaks(("part_silent", "redis"))
    redis.suspend()
    site.up.drop_phantoms(1)
    site.require("opened", ("part_silent", "redis"), seconds=240)
    assert "Redis is silent" in site.status()
    redis.resume()
    site.up.wait_until_all_final(240)
    site.require("closed", ("part_silent", "redis"), seconds=300)


def test_each_alarm_came_once_and_within_its_time(site: Site) -> None:
    """Nothing else was said; the outside monitor got its heartbeats all the time."""
    events = site.events()
    assert set(events.values()) == {1}, events
    opened = {(rule, subject) for event, rule, subject in events if event == "opened"}
    assert opened >= set(site.broken_at)
    # The receiver reports the same full disk, and dispatch may pause for it.
    assert opened - set(site.broken_at) <= {("disk", name) for name in ("modalities", "api", "dispatch")}, events
    limits = {"disk": 60, "part_silent": 180, "source_away": 300, "destination_away": 240, "no_arrivals": 300}
    late = {key: seconds for key, seconds in site.seconds.items() if seconds > limits[key[0]]}
    assert not late, site.seconds
    assert site.pings() >= 5


def test_no_message_has_a_word_of_a_patient(site: Site) -> None:
    """Some images carry marker words in every text, and lie in a folder and files with such names."""
    options = ("--config", site.config, "--state", site.up.state)
    asked = [
        request for request in site.web.asked if not request.path.startswith("/dicom-web")
    ]  # reports are for the PACS
    told = [repr((request.path, dict(request.headers), request.body)) for request in asked]
    texts = {
        "webhook and monitor": " ".join(told),
        "alarms": run("alarms", "--all", "--json", *options).stdout,
        "metrics": run("metrics", *options).stdout,
        "parts": run("parts", "--json", *options).stdout,
        "status": run("status", *options).stdout,
        "logs": "".join(path.read_text("utf-8", "replace") for path in (site.up.state / "logs").iterdir()),
    }
    assert all(len(text) > 200 for text in texts.values()), {name: len(text) for name, text in texts.items()}
    assert not [(name, word) for name, text in texts.items() for word in (PATIENT, PLACE, BORN) if word in text]


def _stop(site: Site, part: str) -> list[psutil.Process]:
    (process,) = site.up.find(PARTS[part])
    site.breaks(("part_silent", part))
    os.kill(process.pid, signal.SIGSTOP)
    return [process]


def _continue(processes: list[psutil.Process]) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


_CONFIG = """
time_zone = "UTC"
watchdog_seconds = 5
alarm_arrivals_by = "{by}"
alarm_delivery_minutes = 0.5
deliver_after_seconds = 0
spool_dir = "{spool}"
disk_reserve_bytes = 4194304
monitor_url = "{web}/ping"

[[alarm_channels]]
name = "pager"
kind = "webhook"
url = "{web}/alarms"
secret_file = "{secret}"

[[sources]]
kind = "folder"
name = "inbox"
path = "{inbox}"

[[sources]]
kind = "receiver"
name = "modalities"
port = {port}

[[sources]]
kind = "dicomweb"
name = "store"
url = "{web}/dicom-web"
poll_seconds = 10

[[destinations]]
kind = "stow"
name = "archive"
url = "{web}/dicom-web"
"""
