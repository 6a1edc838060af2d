"""Archives of a worker under test: their content, their spool, and the outcomes of their members."""

from collections import Counter
from pathlib import Path

from dicom_files import phantom
from worker_driver import WorkerDriver


def scans(*numbers: int) -> dict[str, bytes]:
    """Return the files of a study, with names as on a CD."""
    return {f"DICOM/IM{number:06}": phantom(number) for number in numbers}


def spool(worker_driver: WorkerDriver) -> list[Path]:
    """Return all paths in the spool."""
    return sorted(worker_driver.settings().spool_folder.rglob("*"))


def outcomes(worker_driver: WorkerDriver) -> Counter[tuple[str, str | None]]:
    """Count the arrivals by state and reason."""
    return Counter((row.state, row.reason) for row in worker_driver.ledger_driver.work())


def analyse_all(worker_driver: WorkerDriver, **options: object) -> Counter[tuple[str, str | None]]:
    """Analyse until no work is left, and return the outcomes."""
    context = worker_driver.context(**options)
    while worker_driver.analyse(context):
        continue
    return outcomes(worker_driver)
