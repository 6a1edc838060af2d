"""Images of DCMTK's senders that the receiver acknowledged are on the disk and in the database."""

import csv
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
import skip_reasons
from cstore_receiver import RunningReceiver, running_receiver, write_copies
from dicom_peers import dcmsend, echoscu, storescu
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from skip_reasons import SHARED_DATA
from sqlalchemy import select

from db.engine import Database
from db.tables import work

pytestmark = pytest.mark.servers

DATA = SHARED_DATA / "dicom"
ASSOCIATIONS = 8
UNKNOWN_TO_DCMTK = ("1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.201")


@pytest.fixture
def receiver(tmp_path: Path, database: Database) -> Iterator[RunningReceiver]:
    """A receiver that allows every caller."""
    with running_receiver(tmp_path, database) as receiver:
        yield receiver


def test_c_echo_is_answered(receiver: RunningReceiver) -> None:
    """Verification succeeds and leaves no receipt, since monitoring sends one every minute."""
    assert echoscu(receiver.port).returncode == 0
    assert receiver.associations == []


def test_an_acknowledged_image_is_a_file_and_an_arrival(receiver: RunningReceiver, scan: Path) -> None:
    """The spooled file is a DICOM file with the sent dataset, and the database has its path."""
    sent = storescu(receiver.port, "-aet", "CT1", scan)
    (file,) = receiver.files
    assert sent.returncode == 0, sent.stderr
    assert receiver.arrivals == [str(file.relative_to(receiver.spool))]
    assert receiver.notified.is_set()
    original, received = pydicom.dcmread(scan), pydicom.dcmread(file)
    assert received.SOPInstanceUID == received.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
    assert received.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert received.PixelData == original.PixelData
    (receipt,) = receiver.associations
    assert (receipt.calling_ae, receipt.address, receipt.received) == ("CT1", "127.0.0.1", 1)


def test_the_same_object_twice_gives_the_same_bytes(receiver: RunningReceiver, scan: Path) -> None:
    """The worker therefore recognises a repeated transfer as a duplicate, also from another sender."""
    storescu(receiver.port, "-aet", "CT1", scan)
    storescu(receiver.port, "-aet", "CT2", scan)
    one, other = receiver.files
    assert one.read_bytes() == other.read_bytes()
    assert one.name != other.name
    assert len(receiver.arrivals) == 2


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_storable_real_file_is_received_as_it_is(receiver: RunningReceiver) -> None:
    """Private SOP classes and compressed or retired transfer syntaxes are stored without conversion."""
    storable = [Path(DATA, row["path"]) for row in _manifest() if row["sop_class"] and row["sop_instance_uid"]]
    by_syntax: defaultdict[str, list[Path]] = defaultdict(list)
    for path in storable:
        by_syntax[_identity(path)[0]].append(path)
    for syntax in UNKNOWN_TO_DCMTK:
        _send_by_pynetdicom(receiver.port, by_syntax.pop(syntax))
    # dcmsend would turn these into Explicit VR Little Endian, which it proposes first.
    storescu(receiver.port, "-xi", *by_syntax.pop(ImplicitVRLittleEndian))
    storescu(receiver.port, "-xb", *by_syntax.pop(ExplicitVRBigEndian))
    sent = dcmsend(receiver.port, "-nh", "-nuc", "+f", *(path for paths in by_syntax.values() for path in paths))
    assert len(storable) == 47
    assert Counter(map(_identity, receiver.files)) == Counter(map(_identity, storable)), sent.stdout + sent.stderr
    assert len(receiver.arrivals) == len(storable)


@pytest.mark.parametrize("images", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_images_over_eight_associations_at_once(
    receiver: RunningReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str], images: int
) -> None:
    """Each image has a file and an arrival, and each association has a receipt; the rate is printed."""
    write_copies(tmp_path / "sent", images=images, folders=ASSOCIATIONS)
    began = time.monotonic()
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        ended = list(pool.map(lambda folder: storescu(receiver.port, "+sd", folder), (tmp_path / "sent").iterdir()))
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f" {images / seconds:,.0f} images/s ", end="")
    assert [one.returncode for one in ended] == [0] * ASSOCIATIONS
    assert len(receiver.files) == len(receiver.arrivals) == images
    assert [receipt.received for receipt in receiver.associations] == [images // ASSOCIATIONS] * ASSOCIATIONS


def test_a_source_has_its_own_priority(tmp_path: Path, database: Database, scan: Path) -> None:
    """Images are registered with the priority of their source."""
    with running_receiver(tmp_path, database, priority=0) as receiver:
        storescu(receiver.port, scan)
    with database.read() as connection:
        assert connection.execute(select(work.c.priority)).scalars().all() == [0]


def _manifest() -> list[dict[str, str]]:
    if not DATA.is_dir():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    with (DATA / "manifest.csv").open(newline="") as manifest:
        return list(csv.DictReader(manifest))


def _identity(path: Path) -> tuple[str, str, int]:
    """Return transfer syntax, SOP Instance UID and the length of the encoded pixel data."""
    dataset = pydicom.dcmread(path, force=True)
    # A file without meta information is Implicit VR Little Endian (DICOM PS3.10 before 1996).
    syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    return str(syntax), str(dataset.SOPInstanceUID), len(dataset.get("PixelData", b""))


def _send_by_pynetdicom(port: int, paths: list[Path]) -> None:
    """Send files whose transfer syntaxes are newer than Debian's DCMTK."""
    entity = AE()
    for path in paths:
        meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="NIGHTREAD")
    assert [association.send_c_store(pydicom.dcmread(path)).Status for path in paths] == [0] * len(paths)
    association.release()
