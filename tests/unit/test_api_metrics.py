"""/metrics and `nightread metrics` compute all metrics from the database when they are asked."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from ledger_driver import build_arrivals
from living_parts import all_alive, beat
from prometheus_client.parser import text_string_to_metric_families

from cli.main import main
from db import ledger, queries
from db.ledger import PartKind
from db.tables import State
from nightread.reasons import Reason

SECRET = "MARKERPATIENT"


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application; all parts are alive, three images are done, two were rejected and one waits."""
    with api_driver(new_sqlite, tmp_path) as driver:
        clock = driver.ledger_driver.clock
        all_alive(driver.database, now=clock(), sources=[SECRET])
        source_id = ledger.ensure_source(driver.database, name=SECRET, kind="folder", root=f"/{SECRET}", now=clock())
        ledger.report_source(driver.database, source_id, {"pending": 2}, now=clock())
        driver.ledger_driver.register(build_arrivals(3))
        driver.ledger_driver.analyse_all()
        driver.ledger_driver.register(build_arrivals(2))
        driver.ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED)
        driver.ledger_driver.register(build_arrivals(1, uri=f"{SECRET}.dcm"), source_id=source_id)
        yield driver


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels, in the order of the names of the labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_unfinished_images_add_up_outside_of_the_hours_of_a_source(api: ApiDriver) -> None:
    """What waits for the hours of its source is a value of `waits_for` like all others."""
    clock, (source,) = api.ledger_driver.clock, [each for each in queries.sources(api.database) if each.name == SECRET]
    ledger.pause(api.database, ledger.Cause.HOURS, detail="", now=clock(), source_id=source.id)
    found = samples(api.client.get("/metrics").text)
    assert found["nightread_unfinished_images", "hours"] == 1
    assert sum(value for (name, *_), value in found.items() if name == "nightread_unfinished_images") == 1


def test_a_scrape_has_counts_parts_and_the_expected_end(api: ApiDriver) -> None:
    """On a loopback address without keys anyone may ask, as for all reads."""
    answer = api.client.get("/metrics")
    found = samples(answer.text)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert found["nightread_arrivals_total",] == 6
    assert found["nightread_outcomes_total", "", "", "done"] == 3
    assert found["nightread_outcomes_total", "truncated", "defective", "rejected"] == 2
    assert found["nightread_unfinished_images", "ready"] == 1
    assert found["nightread_unregistered_files",] == 2
    assert found["nightread_part_up", "dispatcher"] == 1
    assert found["nightread_parts", "worker", "alive"] == 1
    assert found["nightread_worker_processes",] == 2
    assert found["nightread_part_last_heartbeat_timestamp_seconds", "watcher"] == api.ledger_driver.clock().timestamp()
    assert found["nightread_recent_batches", "completed"] == 2
    assert found["nightread_recent_batch_images", "100"] == 3
    assert found["nightread_recent_phase_seconds", "read"] == 1.0
    assert found["nightread_oldest_unfinished_timestamp_seconds",] == api.ledger_driver.clock().timestamp()


def test_a_part_that_was_killed_leaves_no_stale_value(api: ApiDriver) -> None:
    """Its heartbeat gets old, and its series says so; nothing keeps the last value of a dead process."""
    clock = api.ledger_driver.clock
    clock.advance(seconds=60)
    beat(api.database, PartKind.DISPATCHER, PartKind.REDIS, PartKind.WATCHER, now=clock())
    found = samples(api.client.get("/metrics").text)
    assert (found["nightread_part_up", "worker"], found["nightread_part_up", "dispatcher"]) == (0, 1)
    assert (found["nightread_parts", "worker", "silent"], found["nightread_worker_processes",]) == (1, 0)
    assert found["nightread_level",] == 3
    clock.advance(seconds=60)
    found = samples(api.client.get("/metrics").text)
    assert ("nightread_part_up", "redis") not in found, "nobody knows without a dispatcher"


def test_only_keys_that_may_read_get_metrics(api: ApiDriver) -> None:
    """As soon as there is a key, each request needs one."""
    reader, sender = api.add_key("prometheus", "read"), api.add_key("sender", "submit")
    assert api.client.get("/metrics", headers=reader).status_code == 200
    assert api.client.get("/metrics", headers=sender).status_code == 403
    assert api.client.get("/metrics").status_code == 401


def test_no_label_names_a_source_a_host_or_a_file(api: ApiDriver) -> None:
    """Names of folders may identify patients, and hosts of containers would add series without end."""
    text = api.client.get("/metrics").text
    families = list(text_string_to_metric_families(text))
    labels = {name for family in families for sample in family.samples for name in sample.labels}
    bounded = {
        "bound",
        "cause",
        "kind",
        "part",
        "phase",
        "rule",
        "percentile",
        "reason",
        "reason_class",
        "result",
        "state",
    }
    assert labels <= bounded | {"rule", "verdict", "version", "waits_for"}
    assert SECRET not in text
    assert "w@host" not in text
    assert len(samples(text)) < 500
    assert all(family.name.startswith("nightread_") and family.documentation for family in families)


def test_the_text_file_is_replaced_in_one_step(
    api: ApiDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Node exporter runs as another user, so everyone may read the file; no part of it is ever seen."""
    target = tmp_path / "nightread.prom"
    target.write_text("old")

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nightread", "metrics", "--state", str(tmp_path), *arguments])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    assert call("--textfile", str(target)) == 0
    assert samples(target.read_text())["nightread_arrivals_total",] == 6
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["nightread.prom"]
    assert capsys.readouterr() == ("", "")
    assert call() == 0
    assert "nightread_arrivals_total 6.0" in capsys.readouterr().out
    assert call("--textfile", str(tmp_path / "missing" / "x.prom")) == 2
    assert "cannot be written" in capsys.readouterr().err
