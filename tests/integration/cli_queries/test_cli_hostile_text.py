"""Commands that show what senders wrote, on a database in which hostile texts were stored raw by an earlier release."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_texts import HOSTILE, UNSAFE
from ledger_driver import LedgerDriver

from db import ledger
from db.ledger import Annotations, Arrival, Cause, Receipt
from imaging.facts import Facts
from nightread.paths import root_text
from nightread.plain_text import visible

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
STORABLE = {name: text for name, text in HOSTILE.items() if name != "lone surrogate"}
"""No database takes a lone surrogate; a header that has one is stored with a question mark."""
EACH_ALONE = [pytest.param(text, id=name, marks=pytest.mark.slow) for name, text in STORABLE.items()]
"""`make test` tries all in one text."""
TEXTS = [pytest.param("".join(STORABLE.values()), id="all"), *EACH_ALONE]


def _fill(driver: LedgerDriver, arrivals: list[Arrival], text: str) -> None:
    """Store the text wherever text from outside is stored."""
    now = driver.clock()
    driver.register(arrivals)
    facts = Facts(
        study_instance_uid=text,
        series_instance_uid=text,
        sop_instance_uid=text,
        sop_class_uid=text,
        modality=text,
        body_part=text,
        image_type=text,
    )
    driver.analyse_all(
        facts=facts,
        label=text,
        detail=text,
        matched={"description": text},
        annotations=Annotations(counts={text: 3}),
    )
    receipt = Receipt(
        association="a-1",
        calling_ae=text,
        address=text,
        began_at=now,
        ended_at=now,
        received=1,
        refused=0,
        failed=0,
        statuses={text: 1},
    )
    ledger.receive(
        driver.database, source_id=driver.source_id, arrivals=[], associations=[receipt], priority=5, now=now
    )
    report = {"refused_associations": {"by_kind": {text: 1}, "latest": text}, "troubles": [text]}
    ledger.report_source(driver.database, driver.source_id, report, now=now)
    ledger.pause(driver.database, Cause.PERSON, detail=text, actor=text, now=now)
    ledger.draft_delivery(
        driver.database,
        study_instance_uid=text,
        destination=text,
        content="c" * 64,
        make_uid=lambda: "2.25.1",
        again=False,
        now=now,
    )
    ledger.ensure_source(driver.database, name=text, kind="folder", root=root_text(Path("/nowhere")), now=now)


COMMANDS = (
    ("query",),
    ("query", "--studies"),
    ("query", "--frames"),
    ("status",),
    ("status", "--json"),
    ("receipts",),
    ("receipts", "--each"),
    ("receipts", "--json"),
    ("deliveries",),
    ("deliveries", "--json"),
    ("audit", "--no-queue"),
    ("pause", "--why", "again"),
    ("models", "route"),
    *(("query", "--format", style) for style in ("json", "jsonl", "csv")),
    *(("query", "--studies", "--format", style) for style in ("json", "jsonl", "csv")),
)


@pytest.mark.parametrize("text", TEXTS)
def test_no_command_prints_markup_or_control_characters(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, text: str
) -> None:
    """Tables, lines and documents: each command ends as usual, and its output is lines of plain text."""
    _fill(ledger_driver, make_arrivals(1, member_name=text), text.replace("\x00", ""))

    for command in COMMANDS:
        code, out, err = nightread(*command)
        assert code == 0, (command, err)
        assert not UNSAFE.search(out + err), command
        assert not any(line.startswith("error: forged") for line in out.split("\n")), command


@pytest.mark.parametrize("text", TEXTS)
def test_documents_are_data(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, text: str
) -> None:
    """JSON gives the value that is stored, CSV the one that a person can look at."""
    text = text.replace("\x00", "")
    _fill(ledger_driver, make_arrivals(1, member_name=text), text)

    (image,) = json.loads(nightread("query", "--format", "json")[1])
    assert (image["modality"], image["member_name"], image["matched"]) == (text, text, {"description": text})
    (row,) = csv.DictReader(io.StringIO(nightread("query", "--format", "csv")[1]))
    assert (row["modality"], row["study_instance_uid"]) == (visible(text), visible(text))
    assert json.loads(row["matched"]) == {"description": text}


FORMULAS = ["=HYPERLINK(1)", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", " =1", '"=1', "'=1", "\uff1d1+1", "x;=1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_csv_file_is_a_formula(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, tmp_path: Path, formula: str
) -> None:
    """Each text of the export gets an apostrophe where a formula would begin; ids and scores stay numbers."""
    _fill(ledger_driver, make_arrivals(1, member_name=formula), formula)
    for arguments in ((), ("--studies",)):
        file = tmp_path / "out.csv"
        assert nightread("query", *arguments, "-o", str(file))[0] == 0

        (row,) = csv.DictReader(io.StringIO(file.read_bytes().decode()))
        texts = [value for value in row.values() if "1" in value and ("=" in value or "+" in value or "@" in value)]
        assert texts
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d", " ", '"')), value
            assert ";=" not in value
    assert nightread("query", "-o", str(tmp_path / "images.csv"))[0] == 0
    (row,) = csv.DictReader(io.StringIO((tmp_path / "images.csv").read_text()))
    assert (row["image_id"], row["score"], row["attempts"]) == ("1", "0.25", "1")


def test_a_hostile_argument_is_shown_with_escapes(nightread: Nightread) -> None:
    """The shell puts names of files into commands."""
    code, out, err = nightread("run", "no\x1b[31m\u202efile\nerror: forged")

    assert (code, out) == (2, "")
    assert not UNSAFE.search(err)
    assert "no\\x1b[31m\\u202efile" in err


def test_a_count_of_a_study_is_shown_once(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The study UID of the report, `1.2[/red]`, is shown as it is written."""
    _fill(ledger_driver, make_arrivals(1), "1.2[/red]")

    assert "1.2[/red]" in nightread("query", "--studies")[1]
