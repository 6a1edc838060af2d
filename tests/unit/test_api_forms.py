"""No file of a multipart body is lost in silence: with a name or without, before a break or behind a preamble."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from dicom_files import phantom

FORM = "multipart/form-data; boundary=bound"
RELATED = 'multipart/related; type="application/dicom"; boundary=bound'


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application."""
    with api_driver(new_sqlite, tmp_path) as driver:
        yield driver


def part(content: bytes, disposition: str, kind: str | None = None) -> bytes:
    """Return one part of a form."""
    named = f"Content-Type: {kind}\r\n" if kind else ""
    return f"--bound\r\nContent-Disposition: form-data; {disposition}\r\n{named}\r\n".encode() + content + b"\r\n"


@pytest.mark.parametrize(
    ("disposition", "kind"),
    [
        ('name="file"; filename="a.dcm"', None),
        ('name="file"; filename=""', "application/dicom"),
        ('name="file"', "application/dicom"),
        ('name="file"', "APPLICATION/octet-stream"),
        ("name=file; filename*=UTF-8''a.dcm", "application/dicom"),
    ],
)
def test_a_file_of_a_form_needs_no_name(api: ApiDriver, disposition: str, kind: str | None) -> None:
    """RFC 7578, section 4.2: the file name is optional. Text fields beside the file are ignored."""
    fields = part(b"x", 'name="b"', "text/plain") + part(b"{}", 'name="c"', "application/json; charset=utf-8")
    body = part(b"words", 'name="note"') + part(phantom(1), disposition, kind) + fields

    response = api.post(body + b"--bound--\r\n", kind=FORM)

    assert response.status_code == 202
    assert len(response.json()["images"]) == 1
    assert [file.read_bytes() for file in api.spooled] == [phantom(1)]


def test_a_problem_of_a_form_says_which_file_it_is_about(api: ApiDriver) -> None:
    """The second of three."""
    files = [part(content, f'name="f"; filename="{number}"') for number, content in enumerate((b"one", b"", b"three"))]

    response = api.post(b"".join(files) + b"--bound--\r\n", kind=FORM)

    assert response.status_code == 422
    assert response.json()["detail"].startswith("File 2 of the form is empty. The earlier files")


@pytest.mark.parametrize("preamble", [b"\r\n", b"This is a message in MIME format.\r\n", b"--other\r\n" * 100])
@pytest.mark.parametrize("end", [b"--bound--", b"--bound--\r\nepilogue\r\n"])
def test_what_stands_around_the_parts_is_ignored(api: ApiDriver, preamble: bytes, end: bytes) -> None:
    """RFC 2046, section 5.1.1; some DICOMweb clients begin with an empty line."""
    body = preamble + b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + phantom(1) + b"\r\n" + end

    response = api.client.post("/dicom-web/studies", content=body, headers={"Content-Type": RELATED})

    assert response.status_code == 200
    assert [file.read_bytes() for file in api.spooled] == [phantom(1)]


def test_a_body_without_the_boundary_of_its_header_is_refused(api: ApiDriver) -> None:
    """It is not read to its end."""
    response = api.post(b"x" * 100_000, kind=FORM)

    assert response.status_code == 400
    assert "boundary that Content-Type names" in response.json()["detail"]
    assert not api.spooled


def test_a_store_that_breaks_off_says_how_many_instances_are_stored(api: ApiDriver) -> None:
    """They are analysed, and the client may send them again: then they are duplicates."""
    parts = [b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + phantom(number) + b"\r\n" for number in range(3)]

    response = api.client.post("/dicom-web/studies", content=b"".join(parts), headers={"Content-Type": RELATED})

    assert response.status_code == 400
    assert response.json()["detail"].endswith("2 earlier instances are stored. Send the whole request again.")
    assert len(api.ledger_driver.work()) == 2


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/dicom+xml;q=0.3, application/dicom+json", "application/dicom+json"),
        ("application/dicom+json;q=0, application/dicom+xml", "application/dicom+xml"),
        ("application/json", "application/dicom+json"),
        ("*/*;q=0.1", "application/dicom+json"),
    ],
)
def test_the_store_response_has_the_preferred_type(api: ApiDriver, accept: str, kind: str) -> None:
    """By the quality values, not by the order of the header. The type of the parts may have parameters."""
    body = b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + phantom(1) + b"\r\n--bound--"
    sent = 'multipart/related; boundary=bound; type="application/dicom; transfer-syntax=1.2.840.10008.1.2.1"'

    response = api.client.post("/dicom-web/studies", content=body, headers={"Content-Type": sent, "Accept": accept})

    assert response.status_code == 200
    assert response.headers["content-type"] == kind
