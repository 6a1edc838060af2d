"""Return what results say of their bundles."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from db.tables import bundles as bundles_table


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleLabels:
    """The labels of one bundle, in the order of its scores."""

    name: str
    version: str
    labels: tuple[str, ...]


def bundles_by_id(connection: Connection) -> dict[int, BundleLabels]:
    """Return all registered bundles by id; there are only a few."""
    return {
        row.id: BundleLabels(name=row.name, version=row.version, labels=tuple(row.labels))
        for row in connection.execute(select(bundles_table))
    }
