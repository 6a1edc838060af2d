"""Add rows that belong to a study besides its images, and read all tables as text."""

from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import STUDY

from db import ledger
from db.ledger import Expected, GroundTruth
from db.tables import metadata

CANARY = "CANARY"


def add_study_rows(driver: LedgerDriver) -> None:
    """Add an expected number, a report, a view of the study, and ground truth of the study and of the order."""
    database, now = driver.database, driver.clock()
    ledger.note_read(database, "study", STUDY, actor="ann", now=now)
    counted = Expected(study_instance_uid=STUDY, source_id=driver.source_id, reported_by="store", images=1)
    ledger.expect(database, [counted], now=now)
    known = [
        GroundTruth(subject="study", key=STUDY, label="a", present=True),
        GroundTruth(subject="accession", key=f"{CANARY}-accession_key", label="a", present=True),
    ]
    ledger.save_ground_truth(database, known, actor="ann", now=now)
    ledger.draft_delivery(
        database,
        study_instance_uid=STUDY,
        destination="pacs",
        content="c",
        make_uid=lambda: f"{STUDY}.9",
        again=False,
        now=now,
    )


def text_of_all_rows(driver: LedgerDriver) -> str:
    """Return the text of all rows of all tables."""
    with driver.database.read() as connection:
        return "\n".join(
            str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))
        )
