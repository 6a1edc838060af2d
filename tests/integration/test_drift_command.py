"""`nightread drift` as an operator calls it: table, JSON, CSV, page and reference; and the section of the report."""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from databases import NewSqlite
from drift_nights import NIGHTS, evening_of, fill_night
from ledger_driver import LedgerDriver, SettableClock

from cli.drift import COLUMNS
from cli.main import cli
from db import ledger
from nightread.errors import UsageFault


@pytest.fixture
def state(tmp_path: Path, new_sqlite: NewSqlite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder with three usual nights and two with other patients and a new device."""
    monkeypatch.setenv("NIGHTREAD_TIME_ZONE", str(NIGHTS.zone))
    clock = SettableClock()
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        source = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source)
        bundle = ledger.register_bundle(
            database,
            name="chest",
            version="2.0",
            digest="c" * 64,
            labels=["normal", "nodule"],
            normal_label="normal",
            now=clock(),
        )
        for number in range(3):
            fill_night(driver, bundle, evening_of(number), images=300)
        for number in (3, 4):
            fill_night(driver, bundle, evening_of(number), images=300, positive=0.6, models=("Alpha", "<b>Gamma"))
        yield tmp_path


def drift(state: Path, night: int, *arguments: str) -> Result:
    command = ["drift", "--night", str(evening_of(night)), *arguments, "--state", str(state)]
    return CliRunner().invoke(cli, command)


def choose(state: Path) -> Result:
    return drift(state, 3, "--model", "chest@2.0", "--reference", f"{evening_of(0)}..{evening_of(2)}")


def test_without_a_reference_the_command_says_how_to_choose_one(state: Path) -> None:
    """The night is counted all the same."""
    shown = drift(state, 3).output
    assert "chest@2.0: no reference (300 results)" in shown
    assert "nightread drift --model chest@2.0 --reference FIRST..LAST" in shown


def test_the_second_night_is_an_alarm(state: Path) -> None:
    """The table shows what is beyond its limit, and with --all everything."""
    assert "900 images" in choose(state).output
    drift(state, 3)
    shown = drift(state, 4).output
    assert "chest@2.0: alarm" in shown
    assert "(new)" in shown
    assert "photometric" not in shown
    assert "photometric" in drift(state, 4, "--all").output


def test_programs_get_json_and_csv(state: Path) -> None:
    """With the same rows."""
    choose(state)
    rows = json.loads(drift(state, 4, "--format", "json").stdout)
    cells = list(csv.DictReader(StringIO(drift(state, 4, "--format", "csv").stdout)))
    assert [*rows[0]] == [*cells[0]] == [*COLUMNS]
    assert [row["measure"] for row in rows] == [row["measure"] for row in cells]
    label = next(row for row in rows if row["all_images"] and row["measure"] == "label")
    assert label["distance"] > label["limit"]


def test_the_page_loads_nothing_and_escapes_names_of_devices(state: Path) -> None:
    """With plots of all images and of the groups that differ."""
    choose(state)
    drift(state, 3)
    drift(state, 4, "-o", str(state / "drift.html"))
    page = (state / "drift.html").read_text("utf-8")
    assert "&lt;b&gt;Gamma" in page
    assert "<b>Gamma" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('class="drift histogram"') >= 2
    assert 'class="drift history"' in page
    assert "1.2.3." not in page


def test_the_report_has_a_section(state: Path) -> None:
    """It counts the night if the watchdog did not."""
    choose(state)
    report = state / "night.html"
    command = ["report", "--night", str(evening_of(4)), "-o", str(report), "--no-pictures", "--state", str(state)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert 'id="drift-title"' in report.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "unknown"], "no worker has used this model"),
        (["--reference", "yesterday"], "two dates"),
        (["--reference", "2026-11-14..2026-11-01"], "two dates"),
        (["--reference", "2020-01-01..2020-01-14"], "0 results"),
        (["--reference", "validation"], "has no reference of its own"),
    ],
    ids=["model", "words", "reversed", "empty", "validation"],
)
def test_wrong_usage_is_one_sentence(state: Path, arguments: list[str], message: str) -> None:
    """And changes nothing."""
    found = drift(state, 3, *arguments)
    assert isinstance(found.exception, UsageFault)
    assert message in str(found.exception)
