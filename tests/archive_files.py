"""Make zip and tar archives for tests, valid and invalid."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

Files = Mapping[str, bytes]
_WRITTEN_AT = (2026, 11, 5, 22, 0, 0)
"""A fixed modification time, so that the same members always give the same bytes."""


def zip_file(files: Files, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=_WRITTEN_AT)
            archive.writestr(member, content, compress_type=method)
    return buffer.getvalue()


def tar_file(files: Files, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar file with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_gz_file(files: Files) -> bytes:
    """Return a gzip-compressed tar file with these members."""
    return gzip.compress(tar_file(files), compresslevel=1, mtime=0)


def tar_member(kind: bytes, name: str = "scan", **fields: Any) -> bytes:
    """Return a tar file with one member that is not a regular file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type = kind
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member)
    return buffer.getvalue()


def zip_with_link(name: str, target: str) -> bytes:
    """Return a zip file with a symbolic link, as Info-ZIP writes it."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, target)
    return buffer.getvalue()


def with_directory_entry(data: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """Return the zip file after `change(archive, offset)` of the first entry in its central directory."""
    changed = bytearray(data)
    change(changed, changed.index(b"PK\x01\x02"))
    return bytes(changed)


def encrypted(data: bytes) -> bytes:
    """Return the zip file with its first member marked as encrypted."""

    def set_flag(archive: bytearray, entry: int) -> None:
        archive[entry + 8] |= 1

    return with_directory_entry(data, set_flag)


def zip_with_false_size(data: bytes, size: int) -> bytes:
    """Return the zip file with this uncompressed size declared for its first member."""

    def say(archive: bytearray, entry: int) -> None:
        struct.pack_into("<I", archive, entry + 24, size)

    return with_directory_entry(data, say)
