"""Read the names and labels of the bundles to which results refer."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from db.engine import Database
from db.tables import bundles as bundles_table


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleLabels:
    """The labels of one bundle, in the order of its scores."""

    name: str
    version: str
    digest: str
    labels: tuple[str, ...]
    normal_label: str | None
    of_series: bool = False
    """Whether it is a bundle of unit `series`."""

    @property
    def reference(self) -> str:
        """Return the bundle as users name it: `NAME@VERSION`."""
        return f"{self.name}@{self.version}"


def bundles_by_id(connection: Connection) -> dict[int, BundleLabels]:
    """Return all registered bundles by id; there are only a few."""
    return {
        row.id: BundleLabels(
            name=row.name,
            version=row.version,
            digest=row.digest,
            labels=tuple(row.labels),
            normal_label=row.normal_label,
            of_series=row.of_series,
        )
        for row in connection.execute(select(bundles_table).order_by(bundles_table.c.id))
    }


def bundle_by_id(database: Database, bundle_id: int) -> BundleLabels | None:
    """Return the bundle with this id; None if there is none."""
    with database.read() as connection:
        return bundles_by_id(connection).get(bundle_id)


def bundles(database: Database) -> list[BundleLabels]:
    """List the registered bundles, oldest first."""
    with database.read() as connection:
        return list(bundles_by_id(connection).values())
