"""Clients of other makers store images by STOW-RS: dicomweb-client, and Orthanc's DICOMweb plugin."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from api_server import RunningApi, running_api
from databases import NewSqlite
from dicom_files import phantom
from dicom_peers import private_orthanc
from dicomweb_client import DICOMwebClient
from requests import Session

from db import queries

KEY = "nr_" + "k" * 43

pytestmark = pytest.mark.servers


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[RunningApi]:
    """An API with one key."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path, api_key=KEY) as running,
    ):
        yield running


def test_dicomweb_client_stores_instances(api: RunningApi) -> None:
    """It reads the response as a data set with the instances that were stored."""
    with Session() as session:
        session.headers["Authorization"] = f"Bearer {KEY}"
        client = DICOMwebClient(f"http://127.0.0.1:{api.port}/dicom-web", session=session)
        datasets = [pydicom.dcmread(BytesIO(phantom(index))) for index in range(3)]

        response = client.store_instances(datasets)

    named = [str(item.ReferencedSOPInstanceUID) for item in response.ReferencedSOPSequence]
    assert named == [str(dataset.SOPInstanceUID) for dataset in datasets]
    assert queries.tally(api.database).arrived == 3
    assert len(api.spooled) == 3


def test_orthanc_stores_instances(api: RunningApi, tmp_path: Path) -> None:
    """As a PACS forwards a study, with the key as the password of HTTP Basic authentication."""
    server = {"Url": f"http://127.0.0.1:{api.port}/dicom-web/", "Username": "orthanc", "Password": KEY}
    with private_orthanc(tmp_path / "orthanc", DicomWeb={"Enable": True, "Servers": {"nightread": server}}) as orthanc:
        ids = [orthanc.session.post(f"{orthanc.url}/instances", phantom(index)).json()["ID"] for index in range(2)]
        answer = orthanc.session.post(
            f"{orthanc.url}/dicom-web/servers/nightread/stow", json={"Resources": ids, "Synchronous": True}, timeout=30
        )

    assert answer.status_code == 200, answer.text
    assert queries.tally(api.database).arrived == 2
    assert len(api.spooled) == 2
