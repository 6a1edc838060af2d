"""Find out which issuers of patient and accession numbers are known, and which hashed numbers have images."""

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.store_tables import issuers
from db.tables import instances
from imaging.patient import NumberKind


def known_issuers(database: Database, kind: NumberKind) -> list[str]:
    """Return the issuers that headers named for this kind of number."""
    with database.read() as connection:
        return list(
            connection.execute(select(issuers.c.name).where(issuers.c.kind == kind).order_by(issuers.c.name)).scalars()
        )


def images_by_key(database: Database, kind: NumberKind, keys: Sequence[str]) -> dict[str, int]:
    """Return the number of images with each of these hashed numbers; keys without images are left out."""
    column = instances.c.patient_key if kind == "patient" else instances.c.accession_key
    wanted = column.in_(bindparam("keys", expanding=True))
    statement = select(column.label("key"), func.count().label("images")).where(wanted).group_by(column)
    with database.read() as connection:
        return {row.key: row.images for row in execute_in_chunks(connection, statement, "keys", keys)}
