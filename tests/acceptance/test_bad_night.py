"""A real bad night of a quarter of an hour: faults come together, each raises its alarm in time, once, and clears.

`nightread up` runs on the database of an installation that has seen a week of nights (bad_night_site). What needs
hours is in tests/integration/test_alarm_night.py, on a simulated clock: a scanner that falls silent after its last
image, images that wait for ten minutes, the hour of outcomes that fail.
"""

import json
import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from bad_night_site import MODEL, USUAL_SENDER, Key, Site, running_site
from nightread_process import wait_until
from patient_markers import BORN, PATIENT, PLACE, marked_scans

pytestmark = [pytest.mark.slow, pytest.mark.night, pytest.mark.timeout(1800)]
MIB = 1024**2
DISK, WORKER, REDIS = ("disk", ""), ("part_silent", "worker"), ("part_silent", "redis")
STORE, INBOX, ARCHIVE = ("source_away", "store"), ("source_away", "inbox"), ("destination_away", "archive")
SENDER = ("no_arrivals", f"modalities {USUAL_SENDER}")
SCORES = ("model_range", f"{MODEL}@1")
STORE_EMPTY = ("no_arrivals", "store")
"""Nothing ever comes from the store, so that this alarm stays."""
SECONDS = {
    "disk": 60,
    "part_silent": 180,
    "source_away": 300,
    "destination_away": 240,
    "no_arrivals": 300,
    "model_range": 120,
}
"""Within so many seconds each rule raises its alarm (docs/alarms.md). `alarm_delivery_minutes` is half a minute."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start `up`, and wait until all parts work."""
    with running_site(tmp_path_factory.mktemp("night")) as site:
        yield site


def test_nothing_arrives_until_something_does(site: Site) -> None:
    """By the time of `alarm_arrivals_by`, per source, and from a scanner against its habit of the last seven nights.

    A person acknowledges the alarm of the store, which stays open.
    """
    keys: list[Key] = [("no_arrivals", name) for name in ("inbox", "modalities", "store")]
    site.breaks(*keys)
    site.breaks(SENDER, seconds_ahead=site.usual_sender_is_late_in())
    site.require("opened", *keys, SENDER, seconds=300)
    assert set(site.events()) == {("opened", *key) for key in (*keys, SENDER)}
    site.up.drop_phantoms(1)
    for name, content in marked_scans().items():
        if name == "cut.dcm":
            continue  # it would wait for its rest for ten minutes
        site.up.drop(f"{PLACE}/{PLACE}-{name}", content)
    site.send("CT1")
    listed = json.loads(site.run("alarms", "--json").stdout)["alarms"]
    (number,) = [alarm["id"] for alarm in listed if alarm["subject"] == "store"]
    done = site.run("alarms", "ack", str(number))
    assert done.returncode == 0, done.stderr


def test_the_scores_of_the_model_leave_their_range(site: Site) -> None:
    """It finds lesions in all images instead of in half of them; later images are as usual."""
    site.up.wait_until_all_final(120)
    site.drop_films(101, with_lesions=True)
    site.up.wait_until_all_final(120)
    site.breaks(SCORES)
    site.require("opened", SCORES, seconds=240)
    site.drop_films(100, with_lesions=False)
    site.up.wait_until_all_final(120)


def test_faults_that_come_together_raise_one_alarm_each(site: Site) -> None:
    """The disk fills, folder, store and destination are away, the dispatcher stands still, and the worker hangs.

    `up` kills the worker that hangs, and starts another one.
    """
    filler = site.disk / "filler"
    moved = site.up.inbox.with_name("moved")
    site.breaks(STORE, INBOX, ARCHIVE)
    site.away.set()
    site.up.drop_phantoms(1)
    site.up.wait_until_all_final(120)
    hanging = site.stop("worker")
    site.up.drop_phantoms(3)
    wait_until(lambda: site.up.tally().unfinished == 3, seconds=90, what=site.up.describe)
    site.breaks(DISK)
    filler.write_bytes(bytes(56 * MIB))
    site.up.inbox.rename(moved)
    site.require("opened", DISK, seconds=90)
    stopped = site.stop("dispatcher")
    site.require("opened", WORKER, ("part_silent", "dispatcher"), ARCHIVE, seconds=240)
    assert "dispatcher is silent" in site.status()
    site.require("opened", STORE, INBOX, seconds=400)
    assert not [process for process in hanging if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    filler.unlink()
    _continue(stopped)
    site.away.clear()
    moved.rename(site.up.inbox)
    # Not at its next attempt; the exit code is 1 if the sender of `up` has the same report in hand.
    site.run("send-results")
    site.require("closed", WORKER, seconds=300)
    site.up.wait_until_all_final(120)


def test_the_model_breaks_while_the_receiver_stands_still(site: Site) -> None:
    """Its file is damaged: the worker goes on with what it loaded, and no worker after it can start."""
    network = site.model_file.read_bytes()
    site.model_file.write_bytes(b"damaged" + network[7:])
    site.up.drop_phantoms(1)
    site.up.wait_until_all_final(120)
    stopped = site.stop("receiver")
    site.breaks(WORKER)
    os.killpg(site.family("worker")[0].pid, signal.SIGKILL)
    site.up.drop_phantoms(1)
    site.require("opened", ("part_silent", "receiver"), WORKER, seconds=240)
    assert "receiver is silent" in site.status()
    assert "model.onnx was changed after the bundle was saved" in (site.up.state / "logs" / "worker.log").read_text()
    site.model_file.write_bytes(network)
    _continue(stopped)
    site.up.wait_until_all_final(240)


def test_a_scanner_that_sends_again_clears_its_alarm(site: Site) -> None:
    """Until then the images of another one have cleared only the alarm of their source."""
    site.require("closed", ("no_arrivals", "modalities"), seconds=300)
    assert site.events()["closed", *SENDER] == 0
    site.send(USUAL_SENDER)


def test_redis_stands_still(site: Site) -> None:
    """The dispatcher notices it; a file that is dropped meanwhile is analysed afterwards."""
    (redis,) = [process for process in site.up.family() if "redis.sock" in " ".join(_command(process))]
    site.breaks(REDIS)
    redis.suspend()
    site.up.drop_phantoms(1)
    site.require("opened", REDIS, seconds=240)
    assert "Redis is silent" in site.status()
    redis.resume()
    site.up.wait_until_all_final(240)


def test_each_alarm_came_once_clears_and_was_within_its_time(site: Site) -> None:
    """Nothing else was said; the outside monitor got its heartbeats all the time."""
    site.require("closed", *(key for key in site.expected if key != STORE_EMPTY), seconds=900)
    events = site.events()
    # The receiver reports the same full disk, and dispatch may pause for it.
    further = {("disk", name) for name in ("modalities", "api", "dispatch")}
    opened = {(rule, subject): times for (event, rule, subject), times in events.items() if event == "opened"}
    # A worker sends no heartbeat while it waits for Redis: on a busy machine this may last for long enough.
    assert opened[WORKER] - site.expected[WORKER] in (0, 1), events
    named = {key: times for key, times in opened.items() if key not in further}
    assert named == {**site.expected, WORKER: opened[WORKER]}, events
    assert all(times == 1 for key, times in opened.items() if key in further), events
    assert {event for event, *_ in events} == {"opened", "closed"}, events
    late = [(key, seconds) for key, seconds in site.seconds if seconds > SECONDS[key[0]]]
    assert not late, site.seconds
    assert site.pings() >= 5


def test_no_message_has_a_word_of_a_patient(site: Site) -> None:
    """Some images carry marker words in every text, and lie in a folder and files with such names."""
    asked = [
        request for request in site.web.asked if not request.path.startswith("/dicom-web")
    ]  # reports are for the PACS
    told = [repr((request.path, dict(request.headers), request.body)) for request in asked]
    texts = {
        "webhook and monitor": " ".join(told),
        "alarms": site.run("alarms", "--all", "--json").stdout,
        "metrics": site.run("metrics").stdout,
        "parts": site.run("parts", "--json").stdout,
        "status": site.run("status").stdout,
        "logs": "".join(path.read_text("utf-8", "replace") for path in (site.up.state / "logs").iterdir()),
    }
    assert all(len(text) > 200 for text in texts.values()), {name: len(text) for name, text in texts.items()}
    assert not [(name, word) for name, text in texts.items() for word in (PATIENT, PLACE, BORN) if word in text]


def _continue(processes: list[psutil.Process]) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
