"""Archives as they come, and as they should not."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

Files = Mapping[str, bytes]
_WRITTEN_AT = (2026, 11, 5, 22, 0, 0)
"""A fixed time, so that the same members always give the same bytes."""


def zip_file(files: Files, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=_WRITTEN_AT)
            archive.writestr(member, content, compress_type=method)
    return buffer.getvalue()


def tar_file(files: Files, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_gz_file(files: Files) -> bytes:
    """The same in gzip."""
    return gzip.compress(tar_file(files), compresslevel=1, mtime=0)


def tar_member(kind: bytes, name: str = "scan", **fields: Any) -> bytes:
    """A tar file with one member of another type than a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type = kind
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member)
    return buffer.getvalue()


def zip_with_link(name: str, target: str) -> bytes:
    """A zip file that holds a symbolic link as Info-ZIP writes it."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, target)
    return buffer.getvalue()


def with_directory_entry(data: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """A zip file after `change` of the first entry of its directory, which begins at the place it is given."""
    changed = bytearray(data)
    change(changed, changed.index(b"PK\x01\x02"))
    return bytes(changed)


def encrypted(data: bytes) -> bytes:
    """A zip file whose directory says that its first member is encrypted."""

    def set_flag(archive: bytearray, entry: int) -> None:
        archive[entry + 8] |= 1

    return with_directory_entry(data, set_flag)


def zip_with_false_size(data: bytes, size: int) -> bytes:
    """A zip file whose first member is said to inflate to this size."""

    def say(archive: bytearray, entry: int) -> None:
        struct.pack_into("<I", archive, entry + 24, size)

    return with_directory_entry(data, say)
