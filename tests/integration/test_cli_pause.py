"""`nightread pause`, `nightread resume`, and what `status` says meanwhile."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from night import Night, build_arrivals
from sqlalchemy import select

from cli.checks.machine import check_machine
from cli.checks.services import check_services
from cli.main import cli
from cli.user import user_name
from db import ledger, queries
from db.ledger import Cause
from db.tables import audit
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import load_settings


def nightread(night: Night, *arguments: str) -> Result:
    url = night.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments, "--database-url", url], catch_exceptions=False)


def said(night: Night, *arguments: str) -> str:
    """What it prints: one line, and all went well."""
    result = nightread(night, *arguments)
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    return line


def status(night: Night) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(nightread(night, "status", "--json").output)
    return found


def test_a_person_pauses_and_resumes(night: Night) -> None:
    """One line each; a second pause tells of the first; both are audited."""
    assert said(night, "pause", "--why", "new network").startswith("Paused: ")
    again = said(night, "pause", "--why", "something else")
    assert again.startswith("Paused already, since ")
    assert again.endswith(f"by {user_name()}: new network")
    assert [pause.detail for pause in queries.pauses(night.database)] == ["new network"]
    assert said(night, "resume") == "Ended: the pause that a person made. Dispatch goes on."
    assert said(night, "resume") == "No such pause was in force. Dispatch goes on."
    with night.database.read() as connection:
        assert list(connection.execute(select(audit.c.action)).scalars()) == ["dispatch.pause", "dispatch.resume"]


def test_one_cause_may_be_resumed_and_the_rest_stays(night: Night) -> None:
    """What still holds dispatch back is named."""
    for cause in Cause:
        ledger.pause(night.database, cause, detail="", now=night.clock())
    line = said(night, "resume", "--cause", "breaker", "--cause", "person")
    assert line.endswith("Still paused: disk.")
    assert [pause.cause for pause in queries.pauses(night.database)] == [Cause.DISK]


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_a_pause_needs_a_reason_that_fits(night: Night, why: str) -> None:
    """Status shows it to everybody."""
    with pytest.raises(UsageFault, match="--why"):
        nightread(night, "pause", "--why", why)


def test_status_says_what_is_paused_why_and_what_to_do(night: Night) -> None:
    """In text and as JSON; nobody is told when it will be done."""
    night.register(build_arrivals(3))
    now = utc_now()
    detail = "62 of the latest 100 images failed or were defective, most of them for truncated."
    ledger.pause(night.database, Cause.BREAKER, detail=detail, now=now)
    ledger.pause(night.database, Cause.DISK, detail="The disk is short.", now=now)
    ledger.pause(night.database, Cause.PERSON, detail="new network", actor="anna", now=now)

    text = nightread(night, "status").output
    for part in (
        detail,
        "nightread query --in-state failed",
        "nightread retry",
        "nightread resume",
        "Every 5 min 00 s a few images are tried",
        "The disk is short.",
        "Make room",
        "person by anna",
        "new network",
        "3 to go, and dispatch is paused.",
    ):
        assert part in text

    found = status(night)
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


def test_status_says_that_a_probe_is_under_way(night: Night) -> None:
    """And by which batch it may be followed in Flower."""
    night.register(build_arrivals(1))
    ledger.pause(night.database, Cause.BREAKER, detail="", now=night.clock())
    (batch,) = night.form()
    ledger.note_probe(night.database, batch.id, now=night.clock())
    assert "A few images are on trial now" in nightread(night, "status").output
    probe = status(night)["pauses"][0]["probe"]
    assert (probe["under_way"], probe["batch"], probe["next_at"]) == (True, batch.id, None)
    ledger.forget_probe(night.database)
    assert "(the latest at " in nightread(night, "status").output


def test_without_a_pause_status_mentions_none(night: Night) -> None:
    """An empty list for programs, nothing for people."""
    assert status(night)["pauses"] == []
    assert "aused" not in nightread(night, "status").output


def test_doctor_says_that_dispatch_is_paused(night: Night, tmp_path: Path) -> None:
    """Where somebody looks for why nothing moves."""
    url = night.database.writer.url.render_as_string(hide_password=False)
    settings = load_settings(None, state_dir=tmp_path, database_url=url, disk_reserve_bytes=2**62)
    assert "dispatch" not in {check.name for check in check_services(settings)}
    ledger.pause(night.database, Cause.DISK, detail="", now=night.clock())
    found = {check.name: check for check in [*check_services(settings), *check_machine(settings)]}
    assert (found["dispatch"].verdict, found["dispatch"].found) == ("warn", "paused (disk)")
    assert "all work is paused" in (found["disk"].remedy or "")
