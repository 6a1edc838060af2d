"""Read archives as streams, within limits; a broken archive is rejected with its reason."""

import bz2
import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections import deque

import pytest
from archive_files import encrypted, tar_file, tar_gz_file, tar_member, zip_file, zip_with_false_size, zip_with_link
from dicom_files import phantom

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.archives.detect import ArchiveKind, archive_kind, members
from worker.archives.limits import ArchiveLimits

MIB = 1024**2
FILES = {"a/b.dcm": b"one" * 1000, "a/c": b"", "d" * 150: b"x" * 512, "ä/e.dcm": b"three"}
PACKED = {ArchiveKind.ZIP: zip_file, ArchiveKind.TAR: tar_file, ArchiveKind.TAR_GZ: tar_gz_file}
AMPLE_LIMITS = ArchiveLimits(members=100, member_bytes=64 * MIB, total_bytes=64 * MIB)


def unpack(data: bytes, limits: ArchiveLimits = AMPLE_LIMITS) -> list[bytes]:
    """Return the contents of all members."""
    kind = archive_kind(data)
    assert kind is not None
    return [b"".join(member.pieces) for member in members(data, kind, limits)]


def rejection(data: bytes, limits: ArchiveLimits = AMPLE_LIMITS) -> Reason:
    """Return the reason for which the archive is rejected."""
    kind = archive_kind(data)
    assert kind is not None
    with pytest.raises(RejectImage) as caught:
        deque((piece for member in members(data, kind, limits) for piece in member.pieces), maxlen=0)
    return caught.value.reason


@pytest.mark.parametrize("kind", ArchiveKind)
def test_members_come_out_byte_for_byte_in_their_order(kind: ArchiveKind) -> None:
    """Names may be long or contain non-ASCII characters, and come out with the files."""
    data = PACKED[kind](FILES)
    assert archive_kind(data) is kind
    assert unpack(data) == list(FILES.values())


@pytest.mark.parametrize("kind", ArchiveKind)
def test_progress_is_reported_while_members_are_skipped(kind: ArchiveKind) -> None:
    """Once per piece and once per file: inflating a large file takes longer than a lease."""
    calls = list[None]()
    files = {"large": b"x" * (8 * MIB), "empty": b""}
    skipped = members(PACKED[kind](files), kind, AMPLE_LIMITS)
    assert [(member.skip(lambda: calls.append(None)), len(calls) > 2) for member in skipped] == [
        ("large", True),
        ("empty", True),
    ]
    pieces = sum(1 for member in members(PACKED[kind](files), kind, AMPLE_LIMITS) for _ in member.pieces)
    assert len(calls) == pieces + len(files)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_common_forms_of_tar_are_read(form: int) -> None:
    """USTAR, GNU and PAX, including long names."""
    files = {"/".join(["folder" * 10, "scan.dcm"]): b"1", "f" * 90: b"22"}
    assert unpack(tar_file(files, form=form)) == [b"1", b"22"]


def test_folders_and_equal_names_are_accepted() -> None:
    """Names of members are never used as paths."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("folder/a", b"2")
    assert unpack(buffer.getvalue()) == [b"1", b"2"]
    assert unpack(tar_member(tarfile.DIRTYPE)) == []


def test_a_dicom_file_is_never_an_archive() -> None:
    """Even if its preamble looks like the beginning of an archive."""
    scan = phantom(1)
    for preamble in (b"PK\x03\x04", b"\x1f\x8b\x08"):
        assert archive_kind(preamble + scan[len(preamble) :]) is None
    assert archive_kind(scan) is None
    assert archive_kind(b"\x08\x00" + zip_file(FILES)) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", gzip.compress(b"a text", mtime=0), b"\x1f\x8b\x08", bz2.compress(tar_file(FILES))],
    ids=["empty", "zip magic alone", "text in gzip", "gzip magic alone", "tar in bzip2"],
)
def test_other_files_are_not_archives(data: bytes) -> None:
    """Neither are gzip files without a tar file, nor other compression formats."""
    assert archive_kind(data) is None


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "..\\x", "\\x", "C:\\x", "c:x", "a/..", "folder/../"])
@pytest.mark.parametrize("kind", ArchiveKind)
def test_a_name_that_leaves_the_folder_rejects_the_whole_archive(kind: ArchiveKind, name: str) -> None:
    """Names are never used as paths, but such an archive is hostile."""
    assert rejection(PACKED[kind]({"good": b"1", name: b"2"})) is Reason.ARCHIVE_ESCAPES


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_rejects_the_whole_archive(kind: bytes) -> None:
    """The target does not matter."""
    assert rejection(tar_member(kind, linkname="a")) is Reason.ARCHIVE_ESCAPES


def test_a_link_in_a_zip_file_rejects_it_too() -> None:
    """The link is stored as Info-ZIP does on Unix."""
    assert rejection(zip_with_link("link", "/etc/passwd")) is Reason.ARCHIVE_ESCAPES


@pytest.mark.parametrize("kind", ArchiveKind)
def test_members_are_counted(kind: ArchiveKind) -> None:
    """An archive with one file more than the limit is rejected."""
    data = PACKED[kind](FILES)
    assert len(unpack(data, ArchiveLimits(members=4, member_bytes=MIB, total_bytes=MIB))) == 4
    assert rejection(data, ArchiveLimits(members=3, member_bytes=MIB, total_bytes=MIB)) is Reason.ARCHIVE_LIMITS


@pytest.mark.parametrize("kind", [ArchiveKind.ZIP, ArchiveKind.TAR_GZ])
def test_a_decompression_bomb_is_stopped_by_its_unpacked_bytes(kind: ArchiveKind) -> None:
    """Memory use stays at a few pieces of 1 MiB."""
    bomb = PACKED[kind]({"zeros": bytes(200 * MIB)})
    assert len(bomb) < 2 * MIB
    tracemalloc.start()
    assert rejection(bomb) is Reason.ARCHIVE_LIMITS
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()
    member = ArchiveLimits(members=9, member_bytes=MIB, total_bytes=2**40)
    assert rejection(bomb, member) is Reason.ARCHIVE_LIMITS


def test_a_false_size_in_a_zip_file_is_detected() -> None:
    """A member with a false declared size, too small or too large, makes the archive a bad one."""
    bomb = zip_file({"zeros": bytes(8 * MIB)})
    assert rejection(zip_with_false_size(bomb, 10)) is Reason.BAD_ARCHIVE
    assert rejection(zip_with_false_size(bomb, 2**31)) is Reason.BAD_ARCHIVE


def test_a_long_name_is_not_read_into_memory() -> None:
    """A header may declare a name of gigabytes, which gzip compresses to a few megabytes."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**32
    bomb = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 * MIB))
    tracemalloc.start()
    assert rejection(bomb) is Reason.ARCHIVE_LIMITS
    assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    tracemalloc.stop()


def test_headers_without_files_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this limit, a few megabytes of gzip would keep a worker busy with folders for an hour."""
    monkeypatch.setattr("worker.archives.tar._MAX_HEADERS", 10)
    folder = tar_member(tarfile.DIRTYPE)[:512]
    assert unpack(folder * 10 + bytes(1024)) == []
    assert rejection(folder * 11 + bytes(1024)) is Reason.ARCHIVE_LIMITS


def test_a_directory_that_is_too_long_is_not_read() -> None:
    """A zip file with 20,000 empty members is rejected before they are listed."""
    many = zip_file({f"{number:0>200}": b"" for number in range(20_000)}, method=zipfile.ZIP_STORED)
    assert rejection(many) is Reason.ARCHIVE_LIMITS


@pytest.mark.parametrize("kind", ArchiveKind)
def test_an_incomplete_archive_is_truncated(kind: ArchiveKind) -> None:
    """The reason is `truncated`, so the worker waits for the rest of the file."""
    data = PACKED[kind]({"a": phantom(1), "b": phantom(2)})
    assert {rejection(data[:end]) for end in (600, len(data) // 2)} == {Reason.TRUNCATED}


@pytest.mark.parametrize("kind", [ArchiveKind.ZIP, ArchiveKind.TAR_GZ])
def test_damage_is_detected(kind: ArchiveKind) -> None:
    """Both formats contain checksums."""
    data = bytearray(PACKED[kind]({"a": phantom(1)}))
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(8)
    assert rejection(bytes(data)) is Reason.BAD_ARCHIVE


@pytest.mark.parametrize(
    "data",
    [
        encrypted(zip_file(FILES)),
        zip_file(FILES, method=zipfile.ZIP_LZMA),
        zip_file(FILES, method=zipfile.ZIP_BZIP2),
        b"PK\x05\x06" + b"\xff" * 18,
        tar_member(tarfile.GNUTYPE_SPARSE),
        tar_member(b"M"),
        tar_member(tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1"}),
    ],
    ids=["encrypted", "lzma", "bzip2", "zip64 without members", "GNU sparse", "volume", "PAX sparse"],
)
def test_an_unsupported_archive_is_a_bad_archive(data: bytes) -> None:
    """Encrypted, compressed by other methods, sparse, in volumes, or invalid."""
    assert rejection(data) is Reason.BAD_ARCHIVE


def test_programs_and_office_documents_are_not_unpacked() -> None:
    """A viewer on a CD contains hundreds of class files."""
    assert rejection(zip_file({"META-INF/MANIFEST.MF": b"", "a.class": b"1"})) is Reason.NOT_DICOM
