"""Write and read the tar archive of a backup; each file in it has a digest in the manifest."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from cli.backups.manifest import BUNDLES, MANIFEST, FileDigest, Manifest, parse_manifest
from nightread.errors import UsageFault

_CHUNK = 1024 * 1024
_LONGEST_MANIFEST = 16 * _CHUNK


class ArchiveWriter:
    """Adds files to a new archive and remembers their digests."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by finish
        self.files: dict[str, FileDigest] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file under this name. Raises OSError."""
        with path.open("rb") as file:
            hashed = _HashedFile(file)
            self._tar.addfile(_entry(name, os.fstat(file.fileno()).st_size), hashed)
        self.files[name] = hashed.digest()

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, and complete the archive. Its file stays open."""
        text = manifest.model_dump_json(indent=2).encode()
        self._tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
        self._tar.close()


class ArchiveReader:
    """Reads an archive. The caller decides where each file is written, because names in the archive may be unsafe."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers() if member.isreg()}
        if MANIFEST not in self._members or self._members[MANIFEST].size > _LONGEST_MANIFEST:
            raise UsageFault("This backup has no manifest, so it is incomplete or was not written by nightread.")
        self.manifest = parse_manifest(self._open(MANIFEST).read())

    def verify(self) -> None:
        """Compare all files with the manifest. Raises UsageFault if a file is missing, unexpected or changed."""
        expected = self.manifest.files
        if self.manifest.database_file not in expected or set(self._members) != {MANIFEST, *expected}:
            raise UsageFault("This backup does not have the files that its manifest lists: use another backup.")
        if set(self.manifest.bundles) != {path.parts[0] for path in self.bundle_files()}:
            raise UsageFault("This backup does not have the models that its manifest lists: use another backup.")
        for name, digest in expected.items():
            _require_safe(name, self.manifest)
            with self._open(name) as source:
                hashed = _HashedFile(source)
                while hashed.read(_CHUNK):
                    pass
            if hashed.digest() != digest:
                raise UsageFault(f"{name} in this backup is damaged (its digest differs): use another backup.")

    def extract(self, name: str, target: Path) -> None:
        """Write one file to the new file `target`, which only its owner can read. Raises OSError."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file, self._open(name) as source:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def bundle_files(self) -> Iterator[PurePosixPath]:
        """Yield the paths of all files of models, relative to the folder of bundles."""
        for name in self.manifest.files:
            if name.startswith(f"{BUNDLES}/"):
                yield PurePosixPath(name).relative_to(BUNDLES)

    def _open(self, name: str) -> IO[bytes]:
        source = self._tar.extractfile(self._members[name])
        if source is None:
            raise UsageFault(f"{name} in this backup cannot be read: use another backup.")
        return source


@contextmanager
def opened_backup(path: Path) -> Iterator[ArchiveReader]:
    """Open the file of a backup. Raises UsageFault if it is not a backup, is incomplete or cannot be read."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            yield ArchiveReader(tar)
    except tarfile.TarError:
        raise UsageFault(f"{path} is not a backup of nightread, or is incomplete: use another file.") from None


class _HashedFile:
    """Reads a file and computes its digest on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self._size += len(data)
        return data

    def digest(self) -> FileDigest:
        return FileDigest(size=self._size, sha256=self._hash.hexdigest())


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Return the tar header of a file, without the name of its owner."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _require_safe(name: str, manifest: Manifest) -> None:
    """Raise UsageFault unless the file is the database or lies in the folder of a bundle."""
    path = PurePosixPath(name)
    is_bundle_file = path.parts[:1] == (BUNDLES,) and len(path.parts) > 2 and ".." not in path.parts  # noqa: PLR2004
    if name != manifest.database_file and not (is_bundle_file and str(path) == name):
        raise UsageFault(f"This backup has the file {name}, which does not belong there: do not use this backup.")
