"""`nightread poll` says in one line what it cannot poll."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.poll import poll_command
from nightread.errors import UsageFault


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "name no store:"),
        (("--name", "pacs"), "name no store pacs:"),
        (("--orthanc", "http://a", "--dicomweb", "http://b"), "Give one URL"),
        (("--orthanc", "ftp://a"), "--orthanc: an address such as"),
        (("--dicomweb", "http://a", "--days", "0"), "--days: "),
        (("--orthanc", "http://a", "--every", "0"), "--every: "),
        (("--days", "3"), "go with a URL"),
    ],
)
def test_wrong_usage_names_the_option(arguments: tuple[str, ...], why: str, tmp_path: Path) -> None:
    """Before any database is looked for."""
    ended = CliRunner().invoke(poll_command, [*arguments, "--state", str(tmp_path / "none")])
    assert isinstance(ended.exception, UsageFault)
    assert why in str(ended.exception)
