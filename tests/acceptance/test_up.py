"""`nightread up`: drop a file, get a row; patients stay out of sight; whatever is killed comes back; nothing is lost.

One session for all tests, in their order: it is used, hurt, killed, started again and stopped.
"""

import base64
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
from canaries import BORN, PATIENT, PLACE, canaries
from program import alive, images, run, wait_until
from up_site import FRAMES, Site, overheard

pytestmark = pytest.mark.timeout(120)

STATES = ("done", "duplicate", "rejected", "failed")
SCANS = 30


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Running, with its Redis overheard from the start; scans and canaries were dropped and are final."""
    site = Site(folder=tmp_path_factory.mktemp("up"))
    with site.up() as site.process:
        wait_until((site.state / "redis.url").exists, seconds=20, what=site.output.read_text)
        with overheard(site):
            wait_until(site.flower.answers, seconds=30, what=site.output.read_text)
            site.drop_phantoms(SCANS)
            for name, content in canaries().items():
                site.drop(f"{PLACE}/{PLACE}-{name}", content)
            site.wait_until_all_final()
            yield site


def test_files_become_rows(site: Site) -> None:
    """Scans are done, the broken canaries have their reasons, and `status` counts them."""
    told = json.loads(run("status", "--state", site.state, "--json").stdout)
    assert Counter(row["state"] for row in images(site.state)) == {"done": SCANS + 2, "rejected": 4}
    assert {row["reason"] for row in images(site.state)} == {None, "not_dicom", "truncated", "bad_pixels", "bad_header"}
    assert [told[name] for name in STATES] == [SCANS + 2, 0, 4, 0]
    assert (told["arrived"], told["adds_up"]) == (site.dropped, True)
    assert [(worker["slots"], worker["alive"]) for worker in told["workers"]] == [(2, True)]


def test_flower_shows_worker_and_batches(site: Site) -> None:
    """The worker with its processes, and each batch with its size and its outcomes."""
    wait_until(lambda: site.flower.images_sent() == site.dropped, seconds=15, what=lambda: str(site.flower.batches()))
    (worker,) = site.flower.workers().values()
    assert worker["stats"]["pool"]["max-concurrency"] == 2
    assert site.flower.outcomes() == {"done": SCANS + 2, "rejected": 4}


def test_canaries_are_seen_by_nobody(site: Site) -> None:
    """No word of the patient and no name of a file in Redis' traffic, Flower's pages, logs and output."""
    logs = "".join(path.read_text("utf-8", "replace") for path in (site.state / "logs").iterdir())
    heard = {
        "redis": "\n".join([*site.traffic, *_decoded_bodies(site.traffic)]),
        "flower": site.flower.everything(),
        "logs": logs + site.output.read_text(),
        "arguments": " ".join(word for process in site.family() for word in process.cmdline()),
        "names of files": " ".join(str(path) for path in site.state.rglob("*")),
    }
    assert re.search(r'{"v": 1, "batch": "[0-9a-f-]{36}"}', heard["redis"]), "the capture holds no batch"
    assert all(len(text) > 200 for text in heard.values())
    assert not [
        (where, word)
        for where, text in heard.items()
        for word in (PATIENT, PLACE, BORN)
        if word.lower() in text.lower()
    ]


def test_the_database_knows_the_place_and_not_the_patient(site: Site) -> None:
    """The path stands in the record, patients as keys only; `query --patient` finds them all the same."""
    stored = b"".join(path.read_bytes() for path in site.state.glob("nightread.sqlite3*"))
    found = json.loads(run("query", "--state", site.state, "--patient", PATIENT, "--format", "json").stdout)
    assert PLACE.encode() in stored
    assert not [word for word in (PATIENT, BORN) if word.encode() in stored]
    assert {row["state"] for row in found} == {"done", "rejected"}


@pytest.mark.slow
def test_a_killed_pool_process_loses_nothing(site: Site) -> None:
    """Its images are given back and done; the worker replaces it by itself."""
    site.drop_cine_and_wait_until_it_runs()
    (worker,) = site.find("worker.app worker")
    before = {child.pid for child in worker.children()}
    _kill(*worker.children())
    site.drop_phantoms(5)
    site.wait_until_all_final()
    assert worker.is_running()
    assert before.isdisjoint(child.pid for child in worker.children())
    _assert_all_done_and_the_cine_twice(site)


def test_a_killed_worker_is_started_again(site: Site) -> None:
    """What it had is given out anew as soon as the next one is there, long before its lease ends."""
    site.drop_cine_and_wait_until_it_runs()
    _kill(*site.find("worker.app worker"))
    site.drop_phantoms(5)
    site.wait_until_all_final()
    _assert_reported(site, "worker")
    _assert_all_done_and_the_cine_twice(site)


def test_a_killed_redis_is_started_again(site: Site) -> None:
    """It has forgotten everything, and the ledger gives everything out again."""
    _kill(*site.find("redis.sock"))
    site.drop_phantoms(10)
    site.wait_until_all_final()
    _assert_reported(site, "redis")


def test_killed_watcher_dispatcher_and_flower_are_started_again(site: Site) -> None:
    """Files that came meanwhile are found, registered once and analysed."""
    _kill(*site.find("cli watch"), *site.find("cli dispatch"), *site.find("flower"))
    site.drop_phantoms(10)
    site.wait_until_all_final()
    for name in ("watch", "dispatch", "flower"):
        _assert_reported(site, name)
    wait_until(site.flower.answers, seconds=20, what=site.looks)
    assert Counter(row["state"] for row in images(site.state))["done"] == site.dropped - 4


def test_a_kill_leaves_no_orphan_and_the_state_can_be_used_again(site: Site) -> None:
    """Everything ends with `up`, in the middle of a batch too; the next start goes on where it stood."""
    assert site.process is not None
    site.drop_cine_and_wait_until_it_runs()
    family = site.family()
    site.process.kill()
    site.process.wait()
    wait_until(lambda: not alive(family), seconds=15, what=lambda: f"{alive(family)}\n{site.looks()}")
    assert len(family) >= 8
    site.drop_phantoms(3)


def test_ctrl_c_stops_everything_within_ten_seconds(site: Site) -> None:
    """In the middle of a batch: exit code 0, no process survives, and what is left waits for the next start."""
    with site.up() as site.process:
        site.wait_until_all_final()
        site.drop_cine_and_wait_until_it_runs()
        family = site.family()
        asked = time.monotonic()
        site.process.send_signal(signal.SIGINT)
        assert site.process.wait(20) == 0, site.looks()
        took = time.monotonic() - asked
    assert took < 10, site.looks()
    assert not alive(family)
    assert not (site.state / "redis.url").exists()


def test_a_later_run_finishes_what_was_left(site: Site) -> None:
    """Each file has exactly one outcome, and the record holds together."""
    site.drop_phantoms(3)
    ended = run("run", site.inbox, "--state", site.state, "--model", "phantom", "--json")
    told = json.loads(ended.stdout)
    audit = run("audit", "--state", site.state)
    assert (ended.returncode, told["arrived"], told["new"]) == (0, site.dropped, 3), ended.stderr
    assert [told[name] for name in STATES] == [site.dropped - 4, 0, 4, 0]
    assert audit.returncode == 0, audit.stdout


def _decoded_bodies(commands: list[str]) -> list[str]:
    """Celery's messages and events travel in base64."""
    bodies = re.findall(r'"body\W+([A-Za-z0-9+/]{16,}=*)', "\n".join(commands))
    return [base64.b64decode(body).decode() for body in bodies]


def _assert_reported(site: Site, name: str) -> None:
    wait_until(lambda: f"{name} was started again" in site.output.read_text(), seconds=10, what=site.looks)
    assert f"{name} ended (killed by SIGKILL)" in site.output.read_text()


def _assert_all_done_and_the_cine_twice(site: Site) -> None:
    rows = images(site.state)
    (latest,) = [row for row in rows if f"/cine-{site.dropped - 6}" in row["uri"]]
    assert Counter(row["state"] for row in rows) == {"done": site.dropped - 4, "rejected": 4}
    assert (latest["frames"], latest["attempts"]) == (FRAMES, 2)


def _kill(*processes: psutil.Process) -> None:
    assert processes
    for process in processes:
        process.kill()
