"""Skipped tests are counted by what this machine lacks."""

import skip_reasons
from _pytest.reports import TestReport as Report


def _skipped(reason: str) -> Report:
    return Report(
        nodeid="a.py::test_one",
        location=("a.py", 1, "test_one"),
        keywords={},
        outcome="skipped",
        longrepr=("a.py", 1, f"Skipped: {reason}"),
        when="setup",
    )


def test_one_line_per_reason_and_the_most_frequent_first() -> None:
    """However many tests lack the same server."""
    reports = [_skipped(skip_reasons.DCMTK), _skipped(skip_reasons.POSTGRESQL), _skipped(skip_reasons.POSTGRESQL)]
    assert skip_reasons.lines(reports) == [
        f"skipped 2: {skip_reasons.POSTGRESQL}",
        f"skipped 1: {skip_reasons.DCMTK}",
    ]


def test_nothing_is_said_where_nothing_was_skipped() -> None:
    """No line at all."""
    assert skip_reasons.lines([]) == []
