"""`nightread up`: files become rows, no patient data leaks, and killed processes are started again.

All tests share one `up` and run in their order: it is used, its processes are killed, it is restarted and stopped.
`make test` kills the worker only; `make slow` kills everything else, which takes half a minute of processor time more.
"""

import base64
import json
import re
import signal
import stat
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
from dicom_files import phantom
from nightread_process import alive, images, run, wait_until
from patient_markers import BORN, PATIENT, PLACE, marked_scans
from up_process import FRAMES, UpProcess, recorded_traffic

from models.catalogue import find_bundle

pytestmark = pytest.mark.timeout(120)

STATES = ("done", "duplicate", "rejected", "failed")
SCANS = 30


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """Start `up`, record the traffic of its Redis, drop scans and marked scans, and wait for their outcomes."""
    up = UpProcess(folder=tmp_path_factory.mktemp("up"))
    with up.up() as up.process:
        wait_until((up.state / "redis.url").exists, seconds=20, what=up.output.read_text)
        with recorded_traffic(up):
            wait_until(up.flower.responds, seconds=30, what=up.output.read_text)
            up.drop_phantoms(SCANS)
            for name, content in marked_scans().items():
                up.drop(f"{PLACE}/{PLACE}-{name}", content)
            up.wait_until_all_final()
            yield up


def test_files_become_rows(up: UpProcess) -> None:
    """Scans are done, the broken marked scans have their reasons, and `status` counts them."""
    status = json.loads(run("status", "--state", up.state, "--json").stdout)
    assert Counter(row["state"] for row in images(up.state)) == {"done": SCANS + 2, "rejected": 4}
    assert {row["reason"] for row in images(up.state)} == {None, "not_dicom", "truncated", "bad_pixels", "bad_header"}
    assert [status[name] for name in STATES] == [SCANS + 2, 0, 4, 0]
    assert (status["arrived"], status["adds_up"]) == (up.dropped, True)
    assert [(worker["slots"], worker["alive"]) for worker in status["workers"]] == [(2, True)]


def test_flower_shows_worker_and_batches(up: UpProcess) -> None:
    """Flower shows the worker with its processes, each batch with its size and its outcomes, and that dispatch runs."""
    # A truncated file that is put back as `still_arriving` is sent twice, so images are counted by their outcomes.
    wait_until(
        lambda: sum(_final_outcomes(up).values()) == up.dropped, seconds=15, what=lambda: str(up.flower.batches())
    )
    assert up.flower.images_sent() >= up.dropped
    (worker,) = up.flower.workers().values()
    assert worker["stats"]["pool"]["max-concurrency"] == 2
    assert _final_outcomes(up) == {"done": SCANS + 2, "rejected": 4}
    assert {"nightread.analyse.failed", "nightread.analyse.some_failed"} & {
        task["name"] for task in up.flower.batches()
    }
    # Flower reads this line every few seconds.
    wait_until(lambda: _queue_line(up).startswith("Dispatch is running: "), seconds=15, what=lambda: _queue_line(up))


def _queue_line(up: UpProcess) -> str:
    return str(json.loads(up.flower.page("/api/queue"))["line"])


def _final_outcomes(up: UpProcess) -> dict[str, int]:
    return {state: images for state, images in up.flower.outcomes().items() if state != "put back"}


@pytest.mark.slow
def test_the_worker_reports_the_version_of_its_model(up: UpProcess) -> None:
    """`--model phantom` leaves it open; the version is known as soon as a process has loaded the network."""
    models: list[str | None] = []

    def is_reported() -> bool:
        status = json.loads(run("status", "--state", up.state, "--json").stdout)
        models[:] = [worker["model"] for worker in status["workers"]]
        return models != ["phantom"]

    wait_until(is_reported, seconds=30, what=lambda: str(models))
    assert models == [find_bundle("phantom").reference]


def test_patient_data_does_not_leak(up: UpProcess) -> None:
    """No marker word and no file name is in the traffic of Redis, Flower's pages, logs, output and arguments."""
    logs = "".join(path.read_text("utf-8", "replace") for path in (up.state / "logs").iterdir())
    texts = {
        "redis": "\n".join([*up.traffic, *_decoded_bodies(up.traffic)]),
        "flower": up.flower.everything(),
        "logs": logs + up.output.read_text(),
        "arguments": " ".join(word for process in up.family() for word in process.cmdline()),
        "names of files": " ".join(str(path) for path in up.state.rglob("*")),
    }
    assert re.search(r'{"v": 1, "batch": "[0-9a-f-]{36}"}', texts["redis"]), "the capture holds no batch"
    assert all(len(text) > 200 for text in texts.values())
    assert not [
        (where, word)
        for where, text in texts.items()
        for word in (PATIENT, PLACE, BORN)
        if word.lower() in text.lower()
    ]


def test_the_password_of_flower_does_not_leak(up: UpProcess) -> None:
    """It is in its file, which only the owner can read, and in no log, output, argument or environment."""
    password = up.flower.login_file.read_text().strip().partition(":")[2]
    others = [path for path in up.state.rglob("*") if path.is_file() and path != up.flower.login_file]
    stored = b"".join(path.read_bytes() for path in [*others, up.output])
    started = " ".join(f"{process.cmdline()} {process.environ()}" for process in up.family())
    assert len(password) >= 32
    assert stat.S_IMODE(up.flower.login_file.stat().st_mode) == 0o600
    assert password.encode() not in stored
    assert password not in started
    assert str(up.flower.login_file) in up.output.read_text()


def test_no_process_writes_core_dumps(up: UpProcess) -> None:
    """The limit is 0 in `up`, in all its children and their children, and none can raise it."""
    limits = {process.pid: process.rlimit(psutil.RLIMIT_CORE) for process in up.family()}
    assert len(limits) >= 8
    assert set(limits.values()) == {(0, 0)}


def test_the_database_has_the_path_and_no_patient_data(up: UpProcess) -> None:
    """The database has paths, and patients only as keys; `query --patient` finds the images by the key."""
    stored = b"".join(path.read_bytes() for path in up.state.glob("nightread.sqlite3*"))
    found = json.loads(run("query", "--state", up.state, "--patient", PATIENT, "--format", "json").stdout)
    assert PLACE.encode() in stored
    assert not [word for word in (PATIENT, BORN) if word.encode() in stored]
    assert {row["state"] for row in found} == {"done", "rejected"}


@pytest.mark.slow
@pytest.mark.timeout(300)  # it takes 45 s; three suites at once take more than 120 s
def test_a_killed_pool_process_loses_nothing(up: UpProcess) -> None:
    """Its images are requeued and done; the worker replaces the process."""
    up.drop_cine_and_wait_until_it_runs()
    (worker,) = up.find("worker.app worker")
    before = {child.pid for child in worker.children()}
    _kill(*worker.children())
    up.drop_phantoms(5)
    up.wait_until_all_final()
    assert worker.is_running()
    assert before.isdisjoint(child.pid for child in worker.children())
    assert_all_done_and_the_cine_twice(up)


@pytest.mark.slow
def test_a_killed_worker_is_started_again(up: UpProcess) -> None:
    """Its images are requeued when the next worker starts, long before their lease ends."""
    up.drop_cine_and_wait_until_it_runs()
    _kill(*up.find("worker.app worker"))
    up.drop_phantoms(5)
    up.wait_until_all_final()
    assert_reported(up, "worker")
    assert_all_done_and_the_cine_twice(up)


@pytest.mark.slow
def test_a_killed_redis_is_started_again(up: UpProcess) -> None:
    """Redis lost all messages, and the dispatcher publishes the open batches again."""
    _kill(*up.find("redis.sock"))
    up.drop_phantoms(10)
    up.wait_until_all_final()
    assert_reported(up, "redis")


@pytest.mark.slow
def test_killed_watcher_dispatcher_and_flower_are_started_again(up: UpProcess) -> None:
    """Files that arrived in the meantime are registered once and analysed."""
    _kill(*up.find("cli watch --inbox"), *up.find("cli dispatch"), *up.find("flower"))
    up.drop_phantoms(10)
    up.wait_until_all_final()
    for name in ("watch", "dispatch", "flower"):
        assert_reported(up, name)
    wait_until(up.flower.responds, seconds=20, what=up.describe)
    assert Counter(row["state"] for row in images(up.state))["done"] == up.dropped - 4


@pytest.mark.slow
def test_a_killed_api_keeps_what_it_acknowledged(up: UpProcess) -> None:
    """An image that was posted before is analysed, and its answer can be read from the API that follows."""
    wait_until(lambda: bool(up.api("GET", "/v1/health")), seconds=30, what=up.describe)
    posted = up.post(phantom(5000), wait_seconds=0)
    _kill(*up.find("cli api"))
    wait_until(lambda: bool(up.api("GET", "/v1/health")), seconds=60, what=up.describe)
    up.wait_until_all_final()
    assert_reported(up, "api")
    image = up.api("GET", f"/v1/images/{posted['image_id']}")
    assert (image["state"], image["source"]) == ("done", "api")
    again = up.post(phantom(5000), wait_seconds=60)
    assert again["original"]["image_id"] == posted["image_id"]
    up.wait_until_all_final()
    assert up.api("GET", f"/v1/images/{again['image_id']}")["duplicate_of"] == posted["image_id"]


@pytest.mark.slow
def test_a_killed_up_leaves_no_orphan_process(up: UpProcess) -> None:
    """All processes end with `up`, even during a batch; when it is started again, it finishes the work."""
    assert up.process is not None
    up.drop_cine_and_wait_until_it_runs()
    family = up.family()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not alive(family), seconds=60, what=lambda: f"{alive(family)}\n{up.describe()}")
    assert len(family) >= 8
    up.drop_phantoms(3)
    with up.running() as process:
        up.wait_until_all_final()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, up.describe()


@pytest.mark.slow
def test_ctrl_c_stops_everything_within_ten_seconds(up: UpProcess) -> None:
    """During a batch the exit code is 0, no process survives, and unfinished images wait for the next start."""
    with up.running() as process:
        up.wait_until_all_final()
        up.drop_cine_and_wait_until_it_runs()
        family = up.family()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, up.describe()
        took = time.monotonic() - began
    assert took < 10, up.describe()
    assert not alive(family)
    assert not (up.state / "redis.url").exists()


@pytest.mark.slow
def test_a_later_run_finishes_the_unfinished_work(up: UpProcess) -> None:
    """Each file has exactly one outcome, and the audit finds no violation."""
    up.drop_phantoms(3)
    ended = run("run", up.inbox, "--state", up.state, "--model", "phantom", "--workers", "1", "--json")
    printed = json.loads(ended.stdout)
    audit = run("audit", "--state", up.state)
    assert (ended.returncode, printed["arrived"], printed["new"]) == (0, up.dropped - up.posted, 3), ended.stderr
    assert [printed[name] for name in STATES] == [up.dropped - up.posted - 4, 0, 4, 0]
    assert audit.returncode == 0, audit.stdout


def _decoded_bodies(commands: list[str]) -> list[str]:
    """Decode the bodies of Celery's messages and events, which are sent in base64."""
    bodies = re.findall(r'"body\W+([A-Za-z0-9+/]{16,}=*)', "\n".join(commands))
    return [base64.b64decode(body).decode() for body in bodies]


def assert_reported(up: UpProcess, name: str) -> None:
    wait_until(lambda: f"{name} was restarted" in up.output.read_text(), seconds=10, what=up.describe)
    assert f"{name} ended (killed by SIGKILL)" in up.output.read_text()


def assert_all_done_and_the_cine_twice(up: UpProcess) -> None:
    rows = images(up.state)
    (latest,) = [row for row in rows if f"/cine-{up.dropped - 6}" in row["uri"]]
    assert Counter(row["state"] for row in rows) == {"done": up.dropped - 4, "rejected": 4}
    assert (latest["frames"], latest["attempts"]) == (FRAMES, 2)


def _kill(*processes: psutil.Process) -> None:
    assert processes
    for process in processes:
        process.kill()
