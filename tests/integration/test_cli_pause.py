"""`nightread pause` and `nightread resume`, and the output of `status` during a pause."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from cli.checks.database import check_database
from cli.checks.machine import check_machine
from cli.inputs.user import user_name
from cli.main import cli
from db import ledger, queries
from db.ledger import Cause
from db.ledger.pauses import ENDED_BY_PEOPLE
from db.tables import audit
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import load_settings


def nightread(ledger_driver: LedgerDriver, *arguments: str) -> Result:
    url = ledger_driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments, "--database-url", url], catch_exceptions=False)


def output_line(ledger_driver: LedgerDriver, *arguments: str) -> str:
    """Run a command that succeeds and return the one line that it prints."""
    result = nightread(ledger_driver, *arguments)
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    return line


def status(ledger_driver: LedgerDriver) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(nightread(ledger_driver, "status", "--json").output)
    return found


def test_a_person_pauses_and_resumes(ledger_driver: LedgerDriver) -> None:
    """Each prints one line; a second pause names the first; both are in the audit table."""
    assert output_line(ledger_driver, "pause", "--why", "new network").startswith("Dispatch is paused: ")
    again = output_line(ledger_driver, "pause", "--why", "something else")
    assert again.startswith(f"Already paused by {user_name()} since ")
    assert again.endswith(": new network")
    assert [pause.detail for pause in queries.pauses(ledger_driver.database)] == ["new network"]
    assert output_line(ledger_driver, "resume") == "Ended: the pause by a person. Dispatch continues."
    assert output_line(ledger_driver, "resume") == "No such pause was active. Dispatch continues."
    with ledger_driver.database.read() as connection:
        assert list(connection.execute(select(audit.c.action)).scalars()) == ["dispatch.pause", "dispatch.resume"]


def test_one_cause_may_be_resumed_and_the_rest_stays(ledger_driver: LedgerDriver) -> None:
    """The output names the remaining pauses."""
    for cause in ENDED_BY_PEOPLE:
        ledger.pause(ledger_driver.database, cause, detail="", now=ledger_driver.clock())
    line = output_line(ledger_driver, "resume", "--cause", "breaker", "--cause", "person")
    assert line.endswith("Still paused: disk.")
    assert [pause.cause for pause in queries.pauses(ledger_driver.database)] == [Cause.DISK]


def test_one_source_is_paused_and_resumed(ledger_driver: LedgerDriver) -> None:
    """Its name is in the output, in `status` and, as its id, in the audit table; the other pauses stay."""
    database, now = ledger_driver.database, ledger_driver.clock()
    ward = ledger.ensure_source(database, name="ward 3", kind="folder", root="/ward", now=now)
    own = queries.sources(database)[0].name
    line = output_line(ledger_driver, "pause", "--why", "blurred", "--source", "ward 3")
    assert line.endswith("its other images wait for `nightread resume --source 'ward 3'`.")
    assert output_line(ledger_driver, "pause", "--why", "x", "--source", "ward 3").endswith(": blurred")
    assert [(pause.cause, pause.source) for pause in queries.pauses(database)] == [(Cause.PERSON, "ward 3")]
    text = " ".join(nightread(ledger_driver, "status").output.split())
    assert f"The source ward 3 is paused by {user_name()} (since " in text
    assert "Run `nightread resume --source 'ward 3'` to end the pause." in text

    for cause, source_id in ((Cause.BREAKER, ward), (Cause.BREAKER, ledger_driver.source_id), (Cause.PERSON, None)):
        ledger.pause(database, cause, detail="", now=now, source_id=source_id)
    line = output_line(ledger_driver, "resume", "--source", "ward 3", "--cause", "breaker")
    assert line.endswith(f"bad images (ward 3). Still paused: person (ward 3), breaker ({own}), person.")
    line = output_line(ledger_driver, "resume", "--source", "ward 3", "--source", own)
    assert line.endswith(f"(ward 3, {own}). Still paused: person.")
    assert output_line(ledger_driver, "resume", "--source", own).startswith("No such pause was active.")
    with database.read() as connection:
        details = connection.execute(select(audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    assert [(action, detail.get("source_id", detail.get("source_ids"))) for action, detail in details] == [
        ("dispatch.pause", ward),
        ("dispatch.resume", [ward]),
        ("dispatch.resume", sorted([ward, ledger_driver.source_id])),
    ]


@pytest.mark.parametrize("arguments", [("pause", "--why", "x"), ("resume",)], ids=["pause", "resume"])
def test_a_source_that_does_not_exist_is_refused(ledger_driver: LedgerDriver, arguments: tuple[str, ...]) -> None:
    """Nothing else is paused or resumed in its place."""
    own = queries.sources(ledger_driver.database)[0].name
    with pytest.raises(UsageFault, match=f"There is no source warrd: the sources are {own}."):
        nightread(ledger_driver, *arguments, "--source", own, "--source", "warrd")
    assert queries.pauses(ledger_driver.database) == []


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_a_pause_needs_a_reason_that_fits(ledger_driver: LedgerDriver, why: str) -> None:
    """The reason must not be empty or too long, because `status` shows it."""
    with pytest.raises(UsageFault, match="--why"):
        nightread(ledger_driver, "pause", "--why", why)


def test_status_shows_each_pause_with_its_cause_and_remedy(ledger_driver: LedgerDriver) -> None:
    """Text and JSON have the pauses; an expected end is not shown."""
    ledger_driver.register(build_arrivals(3))
    now = utc_now()
    detail = "62 of the latest 100 images failed or were defective, most often with the reason truncated."
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail=detail, now=now)
    ledger.pause(ledger_driver.database, Cause.DISK, detail="The disk is short.", now=now)
    ledger.pause(ledger_driver.database, Cause.PERSON, detail="new network", actor="anna", now=now)

    text = nightread(ledger_driver, "status").output
    for part in (
        detail,
        "nightread query --in-state failed",
        "nightread retry",
        "nightread resume",
        "Paused automatically: too many failures (since ",
        "Every 5 min 00 s a few images are analysed as a probe",
        "The disk is short.",
        "Paused automatically: not enough disk space",
        "Free some disk space",
        "Paused by anna (since ",
        "new network",
        "3 images are unfinished; dispatch is paused.",
    ):
        assert part in text

    found = status(ledger_driver)
    assert (found["eta_seconds"], found["done_by"]) == (None, None)
    assert [(pause["cause"], pause["detail"], pause["actor"]) for pause in found["pauses"]] == [
        ("breaker", detail, "nightread"),
        ("disk", "The disk is short.", "nightread"),
        ("person", "new network", "anna"),
    ]
    assert found["pauses"][0]["since"] == now.isoformat()
    assert found["pauses"][1]["probe"] is None
    probe = found["pauses"][0]["probe"]
    assert (probe["under_way"], probe["batch"], probe["latest_at"]) == (False, None, None)
    assert probe["next_at"] > now.isoformat()


def test_status_names_the_source_that_is_paused(ledger_driver: LedgerDriver) -> None:
    """The images of other sources are analysed, so the forecast leaves out those that wait."""
    ledger_driver.register(build_arrivals(3))
    detail = "10 of its latest 10 images failed or were defective, most often with the reason bad_header."
    known = {"detail": detail, "now": utc_now(), "source_id": ledger_driver.source_id}
    ledger.pause(ledger_driver.database, Cause.BREAKER, **known)
    text = nightread(ledger_driver, "status").output
    name = queries.sources(ledger_driver.database)[0].name
    assert f"The source {name} is paused automatically: too many bad images (since " in text
    assert detail in text
    assert "3 images wait for a paused source; all other images have an outcome or wait for their next attempt." in text
    assert [(pause["cause"], pause["source"]) for pause in status(ledger_driver)["pauses"]] == [("breaker", name)]


def test_status_shows_a_running_probe(ledger_driver: LedgerDriver) -> None:
    """The JSON names its batch, so that it can be found in Flower."""
    ledger_driver.register(build_arrivals(1))
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail="", now=ledger_driver.clock())
    (batch,) = ledger_driver.form()
    ledger.set_probe(ledger_driver.database, ledger_driver.pause_id(), batch.id, now=ledger_driver.clock())
    assert "A probe of a few images is being analysed" in nightread(ledger_driver, "status").output
    probe = status(ledger_driver)["pauses"][0]["probe"]
    assert (probe["under_way"], probe["batch"], probe["next_at"]) == (True, batch.id, None)
    ledger.clear_probe(ledger_driver.database, ledger_driver.pause_id())
    assert "(last at " in nightread(ledger_driver, "status").output


def test_without_a_pause_status_mentions_none(ledger_driver: LedgerDriver) -> None:
    """The JSON has an empty list, and the text does not mention pauses."""
    assert status(ledger_driver)["pauses"] == []
    assert "aused" not in nightread(ledger_driver, "status").output


def test_doctor_shows_that_dispatch_is_paused(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """A user who wants to know why nothing is analysed runs `doctor`."""
    url = ledger_driver.database.writer.url.render_as_string(hide_password=False)
    settings = load_settings(None, state_dir=tmp_path, database_url=url, disk_reserve_bytes=2**62)
    assert "dispatch" not in {check.name for check in check_database(settings)}
    ledger.pause(ledger_driver.database, Cause.DISK, detail="", now=ledger_driver.clock())
    found = {check.name: check for check in [*check_database(settings), *check_machine(settings)]}
    assert (found["dispatch"].result, found["dispatch"].found) == ("warn", "paused (disk)")
    assert "all work is paused" in (found["disk"].remedy or "")


def test_doctor_warns_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At four times the reserve everything still works."""
    free = 1000 * 1024**2
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    settings = load_settings(None, state_dir=tmp_path, disk_reserve_bytes=256 * 1024**2)
    found = {check.name: check for check in check_machine(settings)}
    assert found["disk"].result == "warn"
    assert "Less than four times NIGHTREAD_DISK_RESERVE_BYTES" in (found["disk"].remedy or "")
