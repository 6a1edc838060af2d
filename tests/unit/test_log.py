"""Log lines hold ids but no patient data."""

import json
import logging

import pytest
from hostile_texts import HOSTILE, UNSAFE
from logging_state import logging_restored

from nightread.log import JsonLines, TextLines, set_up_logging


def test_a_json_line_names_event_and_ids() -> None:
    """Each line is one object with the values of `extra`."""
    line = json.loads(JsonLines().format(_record("batch analysed", batch="b-1", images=64)))

    assert line["event"] == "batch analysed"
    assert (line["batch"], line["images"], line["level"], line["logger"]) == ("b-1", 64, "warning", "worker")
    assert line["time"].endswith("+00:00")


def test_a_text_line_ends_with_its_ids() -> None:
    """A line for people has time, level, logger, event, then name=value."""
    line = TextLines().format(_record("batch analysed", batch="b-1"))

    assert line.endswith("WARNING worker: batch analysed batch=b-1")


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_an_exception_is_named_but_not_quoted(formatter: logging.Formatter) -> None:
    """Its text may hold a patient's name: the line has only its class and the place in the code."""
    try:
        {}["CANARY^PATIENT"]
    except KeyError as error:
        record = _record("image failed", image=7)
        record.exc_info = (type(error), error, error.__traceback__)

    line = formatter.format(record)
    assert "CANARY" not in line
    assert "KeyError" in line
    assert __name__ in line


def test_a_newline_in_a_value_makes_no_second_line() -> None:
    """A newline in a value cannot forge another JSON line."""
    assert "\n" not in JsonLines().format(_record("a\nb", name_of_source="x\ny"))
    assert "\n" not in TextLines().format(_record("a\nb", name_of_source="x\ny"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_hostile_text_in_a_log_line_stays_text(formatter: logging.Formatter, text: str) -> None:
    """An event is one line that controls no terminal, wherever the text stands in it: also as the name of a value."""
    record = _record("called by %s", calling_ae=text, **{text: 1})
    record.args = (text,)

    line = formatter.format(record)

    assert not UNSAFE.search(line)
    assert "\n" not in line
    line.encode()


def test_a_value_with_spaces_is_no_second_value() -> None:
    """An AE title may hold spaces and equal signs; programs that read the line split it there."""
    line = TextLines().format(_record("association ended", calling_ae='CT1 images=9 "x', images=1))

    assert line.endswith('association ended calling_ae="CT1 images=9 \'x" images=1')


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results; loggers that quote files write only errors."""
    set_up_logging("json", "INFO")
    logging.getLogger("worker").info("ready")
    logging.getLogger("pydicom").warning("Invalid value for PatientName")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["ready"]


def test_the_logging_of_one_test_reaches_no_other() -> None:
    """Neither a handler, whose stream the next test finds closed, nor a level that hides what it waits for."""
    before = (logging.root.level, logging.getLogger("kombu").level)
    with logging_restored():
        set_up_logging("text", "DEBUG")
        ours = logging.root.handlers[-1]

    assert ours not in logging.root.handlers
    assert (logging.root.level, logging.getLogger("kombu").level) == before


def _record(event: str, **ids: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "worker", "msg": event, "levelno": logging.WARNING, "levelname": "WARNING"})
    record.__dict__.update(ids)
    return record
