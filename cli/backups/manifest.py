"""Define the manifest of a backup: what is in its file, and which database and site key it needs."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nightread.errors import UsageFault

MANIFEST = "manifest.json"
"""The last file of the archive: an archive without it is incomplete."""
BUNDLES = "bundles"
DatabaseKind = Literal["sqlite", "postgresql"]
DATABASE_FILES: dict[DatabaseKind, str] = {
    "sqlite": "database.sqlite3",
    "postgresql": "database.dump",
}


class FileDigest(BaseModel):
    """Size and SHA-256 of one file of the archive."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """The content of a backup: only ids, numbers and names of models. The database in the archive has patient data."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    taken_at: datetime
    """When the database was copied, in UTC."""
    release: str
    database: DatabaseKind
    schema_version: str
    rows: dict[str, int]
    """Number of rows by table."""
    site_keys: tuple[str, ...]
    """Ids of the site keys with which the database's patient numbers are hashed; a backup contains no key."""
    bundles: tuple[str, ...]
    """Folders of models that are in the archive."""
    files: dict[str, FileDigest]

    @property
    def database_file(self) -> str:
        """Return the name of the database in the archive."""
        return DATABASE_FILES[self.database]


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest. Raises UsageFault if it is invalid or of a later format."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        if any(problem["loc"] == ("format",) for problem in error.errors()):
            raise UsageFault("A later release of nightread wrote this backup: install that release.") from None
        raise UsageFault("The manifest of this backup is damaged: use another backup.") from None
