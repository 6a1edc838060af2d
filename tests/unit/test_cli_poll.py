"""`nightread poll` reports wrong usage in one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.poll import poll_command
from nightread.errors import UsageFault


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "have no store:"),
        (("--name", "pacs"), "have no store pacs:"),
        (("--orthanc", "http://a", "--dicomweb", "http://b"), "Give one URL"),
        (("--orthanc", "ftp://a"), "--orthanc: give an address such as"),
        (("--dicomweb", "http://a", "--days", "0"), "--days: "),
        (("--orthanc", "http://a", "--every", "0"), "--every: "),
        (("--days", "3"), "need a URL"),
    ],
)
def test_wrong_usage_names_the_option(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """The error comes before the database is opened."""
    ended = CliRunner().invoke(poll_command, [*arguments, "--state", str(tmp_path / "none")])
    assert isinstance(ended.exception, UsageFault)
    assert message in str(ended.exception)
