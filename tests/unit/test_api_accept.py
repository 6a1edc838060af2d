"""The header Accept chooses the format by its quality values and wildcards (RFC 9110, section 12.5.1)."""

import pytest
from starlette.datastructures import Headers

from api.accept import accept_of, accepted

JSON, CSV, XML = "application/json", "text/csv", "application/dicom+xml"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", [JSON, CSV, XML]),
        (",,", [JSON, CSV, XML]),
        ("*/*", [JSON, CSV, XML]),
        ("text/csv, application/json", [CSV, JSON]),
        ("text/csv;q=0.5, application/json;q=0.9", [JSON, CSV]),
        ("application/json;q=0, */*", [CSV, XML]),
        ("*/*;q=0.1, TEXT/CSV;header=present", [CSV, JSON, XML]),
        ("application/*;q=0.5, application/json;q=0", [XML]),
        ("text/csv;q=abc", []),
        ("text/csv;q=nan", []),
        ("text/csv;q=-1", []),
        ("text/html", []),
        ("*/*;q=0", []),
    ],
)
def test_the_most_wanted_type_comes_first(accept: str, expected: list[str]) -> None:
    """A specific media range overrides a wildcard, wherever it stands."""
    assert accepted(accept, [JSON, CSV, XML]) == expected


def test_several_headers_are_one_list() -> None:
    """Some clients and proxies send each type in a header of its own."""
    headers = Headers(raw=[(b"accept", b"image/gif"), (b"accept", b"text/csv")])

    assert accepted(accept_of(headers), [JSON, CSV]) == [CSV]
