"""A real worker drains, keeps its processes, and takes batches again."""

import json
from collections.abc import Iterator

import pytest
from nightread_process import run, wait_until
from up_process import UpProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """Start `up`, which has analysed one file."""
    up = UpProcess(folder=tmp_path_factory.mktemp("up"))
    with up.up() as up.process:
        wait_until(lambda: "Running" in _status(up), seconds=240, what=lambda: _status(up))
        up.drop_phantoms(1)
        up.wait_until_all_final(240)
        yield up


def _status(up: UpProcess) -> str:
    """Return the line of `status --check`."""
    if not (up.state / "nightread.sqlite3").exists():
        return "no database"
    return run("status", "--check", "--state", up.state).stdout


def _worker(up: UpProcess) -> dict[str, object]:
    (worker,) = json.loads(run("status", "--json", "--state", up.state).stdout)["workers"]
    return dict(worker)


def test_a_drained_worker_takes_nothing_until_the_drain_ends(up: UpProcess) -> None:
    """A file that arrives meanwhile waits, `status` says why, and it is analysed afterwards by the same worker."""
    name = str(_worker(up)["node"])
    assert "it has no batch left, and takes no more." in run("drain", name, "--state", up.state).stdout
    log = up.state / "logs" / "worker.log"
    wait_until(lambda: "this worker drains" in log.read_text("utf-8"), seconds=60, what=up.describe)
    up.drop_phantoms(2)
    wait_until(lambda: up.tally().arrived == up.dropped, seconds=60, what=up.describe)
    assert "no worker takes images, because all of them drain" in _status(up)
    wait_until(lambda: up.tally().queued == 2, seconds=60, what=up.describe)
    (worker,) = up.find("worker.app worker")
    assert _worker(up)["draining"] is True
    assert up.tally().done == 1

    run("drain", name, "--end", "--state", up.state)
    up.wait_until_all_final(120)
    assert [found.pid for found in up.find("worker.app worker")] == [worker.pid]
    assert up.tally().done == 3
