"""A sender that holds its share of the spool is refused, and all others go on."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import skip_reasons
from compose_processes import wait_until
from cstore_receiver import RunningReceiver, running_receiver
from databases import NewSqlite
from dicom_files import phantom
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE
from small_disk import small_disk

from db import queries
from db.condition.source_problems import source_problems
from db.engine import Database
from models.phantoms.dicom import PhantomStyle
from nightread.clock import utc_now

pytestmark = pytest.mark.servers

SUCCESS, REFUSED = 0x0000, 0xA700
HOSTILE, HONEST = "127.0.0.2", "127.0.0.1"


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of the network side."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


def send(
    receiver: RunningReceiver, address: str, *, images: int, title: str = "CT1", scan: bytes | None = None
) -> list[int]:
    """Send images from this address in one association, and return the statuses of the responses."""
    dataset = dcmread(DicomBytesIO(scan or phantom(1)))
    entity = AE(title)
    entity.dimse_timeout = 20
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    try:
        association = entity.associate("127.0.0.1", receiver.port, ae_title="NIGHTREAD", bind_address=(address, 0))
    except OSError:
        pytest.skip(skip_reasons.LOOPBACK)
    assert association.is_established
    statuses = [int(association.send_c_store(dataset).Status) for _ in range(images)]
    association.release()
    return statuses


def test_a_sender_beyond_its_quota_is_refused_and_others_are_served(
    tmp_path: Path, sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Under another AE title and in another association it stays refused; it is counted, listed and logged once."""
    caplog.set_level(logging.WARNING, "producer")
    limit = 3 * (len(phantom(1)) + 10_000)
    with running_receiver(tmp_path, sqlite, spool_bytes_per_address=limit) as receiver:
        assert send(receiver, HOSTILE, images=5) == [SUCCESS] * 3 + [REFUSED] * 2
        assert send(receiver, HOSTILE, images=2, title="OTHER") == [REFUSED] * 2
        assert send(receiver, HONEST, images=2) == [SUCCESS] * 2
        assert len(receiver.files) == len(receiver.arrivals) == 5
        counted = "4 images were refused (status A700) in the last hour"
        wait_until(
            lambda: any(problem.startswith(counted) for problem in _problems(receiver)),
            seconds=20,
            what="the receiver reports all refusals",
        )
        (problem,) = _problems(receiver)
        wait_until(lambda: len(_receipts(receiver)) == 3, seconds=20, what="the receipts are written")
    assert "the latest came from OTHER at 127.0.0.2" in problem
    assert _receipts(receiver) == [
        ("CT1", HONEST, 2, 0, {}),
        ("CT1", HOSTILE, 3, 2, {"A700": 2, "over_quota": 2}),
        ("OTHER", HOSTILE, 0, 2, {"A700": 2, "over_quota": 2}),
    ]
    lines = [record for record in caplog.records if "quota of the spool" in record.message]
    assert [(line.levelname, line.address) for line in lines] == [("WARNING", HOSTILE)]  # type: ignore[attr-defined]


def test_a_restart_does_not_renew_a_quota(tmp_path: Path, sqlite: Database) -> None:
    """What a dead receiver left counts, and images are accepted again when the files are gone."""
    limit = 2 * (len(phantom(1)) + 10_000)
    with running_receiver(tmp_path, sqlite, spool_bytes_per_address=limit) as receiver:
        assert send(receiver, HOSTILE, images=3) == [SUCCESS, SUCCESS, REFUSED]
    with running_receiver(tmp_path, sqlite, spool_bytes_per_address=limit) as receiver:
        assert send(receiver, HOSTILE, images=1) == [REFUSED]
        for file in receiver.files:
            file.unlink()
    with running_receiver(tmp_path, sqlite, spool_bytes_per_address=limit) as receiver:
        assert send(receiver, HOSTILE, images=1) == [SUCCESS]


def test_a_greedy_sender_does_not_fill_the_disk(tmp_path: Path, sqlite: Database) -> None:
    """On a disk of 8 MiB, which does not count inodes, one sender gets three quarters of the free space."""
    with (
        small_disk(tmp_path / "disk", mib=8, inodes=0) as disk,
        running_receiver(tmp_path, sqlite, settings={"spool_dir": disk, "disk_reserve_bytes": 0}) as receiver,
    ):
        scan = phantom(1, PhantomStyle(size=512))
        images = 8 * 1024**2 // len(scan)
        statuses = send(receiver, HOSTILE, images=images, scan=scan)
        taken = statuses.count(SUCCESS)
        assert statuses == [SUCCESS] * taken + [REFUSED] * (images - taken)
        assert 0.5 < taken / images < 0.78
        assert send(receiver, HONEST, images=3) == [SUCCESS] * 3


def test_a_disk_without_inodes_refuses_as_a_full_one(tmp_path: Path, sqlite: Database) -> None:
    """One sender gets three quarters of them; when others have taken the rest, every sender keeps its images."""
    with (
        small_disk(tmp_path / "disk", mib=64, inodes=64) as disk,
        running_receiver(tmp_path, sqlite, settings={"spool_dir": disk, "disk_reserve_bytes": 0}) as receiver,
    ):
        statuses = send(receiver, HOSTILE, images=64)
        assert statuses == sorted(statuses)
        assert 30 < statuses.count(SUCCESS) < 50
        assert send(receiver, HONEST, images=1) == [SUCCESS]
        for number in range(os.statvfs(disk).f_favail):
            (disk / f"{number}").touch()
        assert send(receiver, HONEST, images=2) == [REFUSED] * 2


def _problems(receiver: RunningReceiver) -> list[str]:
    (source,) = queries.sources(receiver.database)
    return [problem for problem in source_problems(source, utc_now()) if "A700" in problem]


def _receipts(receiver: RunningReceiver) -> list[tuple[str, str, int, int, dict[str, int]]]:
    with suppress(ValueError):
        return sorted(
            (one.calling_ae, one.address, one.received, one.refused, dict(one.statuses))
            for one in receiver.associations
            if one.ended_at is not None
        )
    return []
