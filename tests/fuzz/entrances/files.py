"""Files in a drop folder: DICOM, pictures, and archives of them."""

import random
import tarfile
import zipfile
from functools import cache

from archive_files import tar_file, tar_gz_file, zip_file
from dicom_files import phantom

from fuzz.entrances.entrance import Entrance
from fuzz.entrances.mutations import ODD_TEXTS, mutated_bytes
from fuzz.mutation import mutation
from fuzz.outcome import outcome_of
from fuzz.seeds import seeds
from nightread.errors import RejectImage
from worker.archives.detect import archive_kind, members
from worker.archives.limits import ArchiveLimits

_LIMITS = ArchiveLimits(members=50, member_bytes=1024**2, total_bytes=4 * 1024**2)
_LONGEST_NAME = 64 * 1024


def _make_file(rng: random.Random) -> bytes:
    return mutation(seeds(), rng.getrandbits(32), rng.getrandbits(32)).data


@cache
def _archives() -> tuple[bytes, ...]:
    files = {"DICOM/IM1": phantom(1), "DICOM/IM2": phantom(2)[:2000], "README.TXT": b"x" * 300, "a" * 150: b""}
    packed = [tar_file(files, form=form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
    stored = zip_file(files, method=zipfile.ZIP_STORED)
    return (zip_file(files), stored, tar_gz_file(files), zip_file({"inner.zip": stored}), *packed)


def _make_archive(rng: random.Random) -> bytes:
    return _named(rng) if rng.random() < 0.2 else mutated_bytes(rng.choice(_archives()), rng)


def _named(rng: random.Random) -> bytes:
    """Return an archive whose member has an odd name or an odd kind."""
    name = "/".join(rng.choices(ODD_TEXTS, k=rng.choice((1, 2, 3)))) or "x"
    member = tarfile.TarInfo(name.encode("utf-8", "replace").decode()[:90])
    member.type = rng.choice((b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"L", b"x", b"g", b"M", b"?"))
    member.size = rng.choice((0, 10, 10, 10, 2**31))
    header = member.tobuf(rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)), errors="replace")
    return header + rng.randbytes(10).ljust(512, b"\0") + rng.choice((tar_file({"scan": b"x"}), bytes(1024), b""))


def _enter_archive(data: bytes) -> str:
    kind = archive_kind(data)
    if kind is None:
        return "no archive"
    total = 0
    try:
        for member in members(data, kind, _LIMITS):
            assert len(member.name) < _LONGEST_NAME
            total += sum(map(len, member.pieces))
            assert total <= _LIMITS.total_bytes
    except RejectImage as rejected:
        return str(rejected.reason)
    return "unpacked"


ENTRANCES = (Entrance("files", _make_file, outcome_of), Entrance("archives", _make_archive, _enter_archive))
