"""STOW-RS stores what DICOMweb clients send, and answers as DICOM PS3.18, section 10.5, demands."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pydicom
import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from dicom_files import in_syntax, phantom
from httpx2 import Response
from pydicom.uid import DeflatedExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
RELATED = 'multipart/related; type="application/dicom"; boundary=bound'


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with a limit of 1 MiB per file."""
    with api_driver(new_sqlite, tmp_path, max_file_bytes=1024**2) as driver:
        yield driver


def related(*parts: bytes, end: bytes = b"--bound--\r\n") -> bytes:
    """Return a multipart body."""
    return b"".join(b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + end


def stow(api: ApiDriver, body: bytes, *, study: str = "", kind: str = RELATED, **headers: str) -> Response:
    """Send a store request."""
    return api.client.post(f"/dicom-web/studies{study}", content=body, headers={"Content-Type": kind, **headers})


def uid_of(data: bytes, keyword: str = "SOPInstanceUID") -> str:
    """Return a UID of a DICOM file."""
    return str(pydicom.dcmread(BytesIO(data))[keyword].value)


def test_all_instances_are_stored(api: ApiDriver) -> None:
    """200 with each instance; they are in the database, not urgent, and on the disk, byte for byte."""
    files = [phantom(1), phantom(2)]

    response = stow(api, related(*files))

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    named = [item["00081155"]["Value"][0] for item in response.json()["00081199"]["Value"]]
    assert named == [uid_of(file) for file in files]
    assert "00081198" not in response.json()
    assert sorted(path.read_bytes() for path in api.spooled) == sorted(files)
    assert [work.priority for work in api.ledger_driver.work()] == [5, 5]


def test_what_is_no_instance_fails_alone(api: ApiDriver) -> None:
    """202: the others are stored. A part without UIDs is among the other failures (PS3.18, table I.1-1)."""
    response = stow(api, related(phantom(1), b"no DICOM", b""))

    assert response.status_code == 202
    assert len(response.json()["00081199"]["Value"]) == 1
    assert [item["00081197"]["Value"] for item in response.json()["0008119A"]["Value"]] == [[0xC000]] * 2
    assert len(api.spooled) == 1


def test_nothing_stored_is_a_conflict(api: ApiDriver) -> None:
    """409, and no file stays."""
    response = stow(api, related(b"\0" * 128 + b"DICM" + b"\xff" * 50))

    assert (response.status_code, api.spooled) == (409, [])


def test_instances_of_another_study_fail(api: ApiDriver) -> None:
    """The study of the path must be that of all instances."""
    study = uid_of(phantom(1), "StudyInstanceUID")

    response = stow(api, related(phantom(1), phantom(2)), study=f"/{study}")

    assert response.status_code == 202
    (failed,) = response.json()["00081198"]["Value"]
    assert failed["00081197"] == {"vr": "US", "Value": [0xA900]}
    assert failed["00081155"]["Value"] == [uid_of(phantom(2))]


def test_an_instance_that_is_too_large_fails(api: ApiDriver) -> None:
    """The others are stored."""
    response = stow(api, related(phantom(1) + bytes(1024**2), phantom(2)))

    assert response.status_code == 202
    assert response.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]


def test_a_deflated_instance_is_stored_without_being_inflated(api: ApiDriver) -> None:
    """Its study is not known before a worker reads it, within limits: also not if it is larger than its head."""
    file = pydicom.dcmread(BytesIO(in_syntax(1, DeflatedExplicitVRLittleEndian)))
    file.PixelData = Random(1).randbytes(200_000)
    written = BytesIO()
    file.save_as(written)

    response = stow(api, related(written.getvalue()), study="/1.2.3")

    assert response.status_code == 200


def test_the_response_can_be_xml(api: ApiDriver) -> None:
    """The native DICOM model of PS3.19."""
    response = stow(api, related(phantom(1)), Accept="application/dicom+xml")

    root = ET.fromstring(response.text)  # noqa: S314 - our own text
    name = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}DicomAttribute"
    values = {element.get("keyword"): element.findtext(".//{*}Value") for element in root.iter(name)}
    assert values["ReferencedSOPInstanceUID"] == uid_of(phantom(1))


@pytest.mark.parametrize(
    ("body", "kind", "accept", "status"),
    [
        (related(phantom(1)), "application/dicom", "*/*", 415),
        (related(phantom(1)), 'multipart/related; type="application/dicom+json"; boundary=bound', "*/*", 415),
        (related(phantom(1)), "multipart/related", "*/*", 400),
        (related(phantom(1)), RELATED, "text/html", 406),
        (related(phantom(1), end=b""), RELATED, "*/*", 400),
        (related(), RELATED, "*/*", 400),
        (b"", RELATED, "*/*", 400),
    ],
)
def test_a_malformed_request_is_refused(api: ApiDriver, body: bytes, kind: str, accept: str, status: int) -> None:
    """With a problem object; an instance that came whole before may have been stored."""
    response = stow(api, body, kind=kind, Accept=accept)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
