"""`nightread status` and `nightread db upgrade`, and the errors of commands without a database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver

from db import ledger
from db.ledger import Arrival
from db.tables import State
from nightread.reasons import Reason
from producer.dispatcher import disk

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]


def test_status_as_json_has_stable_names(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Standard output has nothing but the JSON document."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.EMPTY)
    ledger_driver.register(make_arrivals(1))
    ledger.heartbeat(
        ledger_driver.database, node="w@h", boot_id="1", slots=2, device="2 CPU", release="0", now=ledger_driver.clock()
    )

    code, text, _ = nightread("status", "--json")

    status = json.loads(text)
    assert code == 0
    counts = {"arrived": 3, "rejected": 2, "waiting": 1, "rejected_defective": 2, "out_of_scope": 0}
    assert counts.items() <= status.items()
    assert {"done", "duplicate", "failed", "queued", "running", "rate_per_second", "eta_seconds"} <= status.keys()
    assert [(worker["node"], worker["slots"], worker["alive"]) for worker in status["workers"]] == [("w@h", 2, False)]
    assert status["adds_up"] is True


def test_status_for_people_shows_what_is_wrong(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The output has the reasons, and says that no image was finished and no worker is running."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.MISSING_FILE)
    ledger_driver.register(make_arrivals(1))

    _, text, _ = nightread("status")

    assert "missing_file" in text
    assert "1 image is unfinished; no image was finished in the last minute." in text
    assert "No worker is running: start `nightread up`" in text
    assert "\x1b" not in text


def test_status_warns_before_the_disk_is_full(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything still works at four times the reserve, and there is time to free space."""
    monkeypatch.setattr(disk, "_free_bytes", lambda _folder: 1000 * 1024**2)
    monkeypatch.setenv("NIGHTREAD_DISK_RESERVE_BYTES", str(240 * 1024**2))
    assert "MiB free" not in nightread("status")[1]
    monkeypatch.setenv("NIGHTREAD_DISK_RESERVE_BYTES", str(256 * 1024**2))
    assert (
        "A disk has only 1,000 MiB free: free some space. Archives wait until 1,024 MiB are free; below 256 MiB "
        "(disk_reserve_bytes) all work stops and received images are refused."
    ) in " ".join(nightread("status")[1].split())
    shown = json.loads(nightread("status", "--json")[1])["disk"]
    mib = 1024**2
    assert shown == {"free_bytes": 1000 * mib, "alarm_bytes": 1024 * mib, "reserve_bytes": 256 * mib, "low": True}


def test_status_and_query_show_remarks_only_if_there_are_any(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The tally has a line with number and sentence below `done`; the table of images has a column."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    assert json.loads(nightread("status", "--json")[1])["image_remarks"] == {}
    assert "remarks" not in nightread("query")[1].splitlines()[0].split()

    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(remarks="frames_left_out voi_not_used", detail="Two sentences.")

    assert json.loads(nightread("status", "--json")[1])["image_remarks"] == {"frames_left_out": 2, "voi_not_used": 2}
    (line,) = (line for line in nightread("status")[1].splitlines() if "frames_left_out" in line)
    assert line.split(maxsplit=2)[1:] == ["2", "The pixel data hold more frames than could be analysed."]
    assert "frames_left_out, voi_not_used" in nightread("query", "--remark", "voi_not_used")[1]
    exported = nightread("query", "--remark", "voi_not_used", "--format", "csv")[1]
    assert exported.count(",frames_left_out voi_not_used,") == 2


def test_status_shows_which_model_each_worker_uses(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """A worker that follows no rules and one that follows the rules give different results for the same image."""
    for node, model in (("w1@h", "phantom"), ("w2@h", None)):
        heartbeat(ledger_driver, node=node, model=model)

    text, document = nightread("status")[1], json.loads(nightread("status", "--json")[1])

    assert [worker["model"] for worker in document["workers"]] == ["phantom", None]
    assert any(line.split()[:5] == ["w1@h", "1", "2", "CPU", "phantom"] for line in text.splitlines())
    assert "Workers use different models" in text
    assert document["worker_warnings"][0].startswith("There are no routing rules and no --model for w2@h:")


@pytest.mark.parametrize(
    ("models", "differ"),
    [
        (("phantom@1.0", "phantom"), False),
        (("phantom@1.0", "phantom@1.1"), True),
        (("phantom@1.0", "phantom@1.1", "phantom"), True),
        (("phantom@1.0", "mnist"), True),
        (("phantom@1.0", None), True),
    ],
)
def test_a_worker_that_still_loads_its_model_does_not_differ(
    nightread: Nightread, ledger_driver: LedgerDriver, models: tuple[str | None, ...], differ: bool
) -> None:
    """It reports the name until it knows the version; two versions of one name give different results."""
    for number, model in enumerate(models):
        heartbeat(ledger_driver, node=f"w{number}@h", model=model)

    assert ("Workers use different models" in nightread("status")[1]) is differ


def heartbeat(ledger_driver: LedgerDriver, *, node: str, model: str | None) -> None:
    """Store that this worker is alive at the present time."""
    ledger.heartbeat(
        ledger_driver.database,
        node=node,
        boot_id="1",
        slots=1,
        model=model,
        device="2 CPU",
        release="0",
        now=datetime.now(UTC),
    )


def test_a_missing_database_is_one_line_and_is_not_created(nightread: Nightread, tmp_path: Path) -> None:
    """The line names the folder and what to do, and no folder is created."""
    for command in (["status"], ["query"], ["audit"]):
        code, text, error = nightread(*command, "--state", str(tmp_path / "elsewhere"))

        assert (code, text) == (2, "")
        assert error.startswith("error: There is no nightread database in")
        assert "--state" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_database_without_schema_is_reported_with_the_fix(nightread: Nightread, tmp_path: Path) -> None:
    """The error names `db upgrade`, which creates the schema and may run twice."""
    (tmp_path / "x.sqlite3").touch()
    url = ("--database-url", f"sqlite:///{tmp_path / 'x.sqlite3'}")

    assert "nightread db upgrade" in nightread("status", *url)[2]
    assert nightread("db", "upgrade", *url)[0] == 0
    assert nightread("db", "upgrade", *url)[0] == 0
    assert nightread("status", *url)[0] == 0


def test_an_unavailable_database_is_one_line(nightread: Nightread) -> None:
    """The line does not have the password of the URL."""
    code, _, error = nightread("status", "--database-url", "postgresql://me:secret@127.0.0.1:1/x")

    assert code == 2
    assert error.startswith("error: The database is unavailable")
    assert "secret" not in error
