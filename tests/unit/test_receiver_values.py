"""The pure parts of the C-STORE receiver: who may call, heads of files, answers, names in the spool."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydantic import ValidationError
from pydicom.filereader import read_dataset
from pydicom.uid import JPEG2000, UID

from nightread.errors import UsageFault
from nightread.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from nightread.settings import load_settings
from nightread.sources import Caller
from producer.cstore.allow_list import AllowList, Diagnostic
from producer.cstore.association import CStoreStatus
from producer.cstore.part10 import file_head
from producer.cstore.response import encode_c_store_rsp
from producer.spool.spool import Spool, spool_root

CLASS, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.45"


@pytest.mark.parametrize(
    ("ae_title", "address", "objection"),
    [
        ("CT1", "10.1.2.3", None),
        ("CT1", "::ffff:10.1.2.3", None),
        ("CT1", "10.9.9.9", Diagnostic.CALLING_AE_TITLE_NOT_RECOGNIZED),
        ("MR1", "10.9.9.9", None),
        ("MR1", "fe80::1%eth0", Diagnostic.NO_REASON_GIVEN),
        ("ANY", "192.168.1.7", None),
        ("ct1", "10.1.2.3", Diagnostic.CALLING_AE_TITLE_NOT_RECOGNIZED),
    ],
)
def test_callers_are_told_apart_by_title_and_network(ae_title: str, address: str, objection: Diagnostic | None) -> None:
    """A strange address learns nothing of titles; titles are exact (DICOM PS3.5, section 6.2: case matters)."""
    callers = AllowList(
        [
            Caller(ae_title="CT1", address="10.1.0.0/16"),
            Caller(ae_title="MR1", address="10.0.0.0/8"),
            Caller(address="192.168.1.7"),
        ]
    )
    assert callers.objection(ae_title, address) is objection


def test_without_callers_everybody_may() -> None:
    """The network is the boundary then."""
    assert AllowList(()).objection("ANY", "203.0.113.9") is None


def test_a_caller_who_is_nobody_is_refused() -> None:
    """An entry that was left empty must not let everybody in."""
    with pytest.raises(ValidationError, match="to accept every caller"):
        Caller()


def test_an_address_that_is_none_is_said() -> None:
    """Host names are not looked up: their owner could say anything."""
    with pytest.raises(UsageFault, match=r"pacs\.example"):
        AllowList([Caller(address="pacs.example")])


def test_a_head_is_what_pydicom_reads() -> None:
    """With values of odd and of even length."""
    head = file_head(sop_class=CLASS, sop_instance=INSTANCE, transfer_syntax=JPEG2000)
    meta = pydicom.dcmread(BytesIO(head)).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CLASS, INSTANCE)
    assert (meta.TransferSyntaxUID, meta.FileMetaInformationVersion) == (JPEG2000, b"\x00\x01")
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.FileMetaInformationGroupLength == len(head) - 132 - 12
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid


@pytest.mark.parametrize("status", list(CStoreStatus))
def test_an_answer_is_what_pydicom_reads(status: CStoreStatus) -> None:
    """Each element of a C-STORE response, in the order of their tags."""
    answer = encode_c_store_rsp(sop_class=CLASS, sop_instance=INSTANCE, message_id=7, status=status)
    command = read_dataset(BytesIO(answer), is_implicit_VR=True, is_little_endian=True)
    assert command.CommandGroupLength == len(answer) - 12
    assert (command.CommandField, command.CommandDataSetType) == (0x8001, 0x0101)
    assert (command.MessageIDBeingRespondedTo, command.Status) == (7, status)
    assert (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID) == (CLASS, INSTANCE)
    assert list(command.keys()) == sorted(command.keys())


def test_spools_of_names_that_look_alike_differ(tmp_path: Path) -> None:
    """Whatever a source is called, its folder is one, below the spool folder, and its own."""
    settings = load_settings(state_dir=tmp_path)
    names = ["CT 1", "CT/1", "CT-1", "../..", "x" * 200]
    roots = [spool_root(settings, name) for name in names]
    assert len(set(roots)) == len(names)
    assert {root.parent for root in roots} == {tmp_path / "spool"}


def test_no_folder_of_a_spool_grows_beyond_a_thousand(tmp_path: Path) -> None:
    """File servers and people choke on more."""
    spool = Spool(tmp_path)
    for _ in range(1001):
        spool.begin().discard()
    assert len(list(tmp_path.glob("*/*"))) == 2
