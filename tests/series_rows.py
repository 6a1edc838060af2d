"""Read and change the rows of series in a ledger."""

from typing import Any

from ledger_driver import LedgerDriver
from sqlalchemy import select, update

from db.series_tables import series


def rows(driver: LedgerDriver) -> list[Any]:
    """Return the rows of all series, oldest first."""
    with driver.database.read() as connection:
        return list(connection.execute(select(series).order_by(series.c.id)))


def change(driver: LedgerDriver, **values: Any) -> None:
    """Set these columns of all series, as if something had happened to them before."""
    driver.database.write(lambda connection: connection.execute(update(series).values(**values)))
