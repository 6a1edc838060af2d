"""Fill a database with many images by bulk inserts."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, insert, text

from db import ledger
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.store_tables import BLOCK, occurrences
from db.tables import State, contents, instances, predictions, work

BEGAN = datetime(2026, 1, 1, 18, tzinfo=UTC)
IMAGES_PER_HOUR = 4_000
WAITING = 1_000
_CHUNK = 10_000
_STUDIES_OF_RARE_DEVICE = 1_000  # one study in a thousand is from the rare device
_IMAGES_OF_SPARSE_DEVICE = 4_999  # one image in 4,999 is from the sparse device: the worst case of a search by blocks
_NEW_MODEL_IMAGES = 5_000
_MODALITIES = ("CT", "CT", "CT", "MR", "DX", "CR", "MG")


def patient_key(image: int) -> str:
    """Return the key of the patient to whom this image belongs."""
    return f"{image // 100:064x}"


def study_uid(image: int) -> str:
    """Return the Study Instance UID of this image."""
    return f"1.2.826.0.1.3680043.10.999.2.{image // 50}"


def series_uid(image: int) -> str:
    """Return the Series Instance UID of this image: each study has one series."""
    return f"1.2.826.0.1.3680043.10.999.3.{image // 50}"


def fill(database: Database, images: int, *, per_hour: int = IMAGES_PER_HOUR, waiting: int = WAITING) -> None:
    """Insert rows of `instances`, `work`, `contents` and `predictions` for images 1 to `images`.

    The last `waiting` images wait for their analysis.
    """
    bundle = _register(database, "1")
    newer = _register(database, "2")
    source = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=BEGAN)
    rng = random.Random(7)
    for begin in range(1, images + 1, _CHUNK):
        numbers = range(begin, min(begin + _CHUNK, images + 1))
        arrivals = [_arrival(number, source, per_hour) for number in numbers]
        tasks = [
            _task(
                number,
                newer if number > images - waiting - _NEW_MODEL_IMAGES else bundle,
                rng,
                per_hour,
                is_last=number > images - waiting,
            )
            for number in numbers
        ]
        for arrival, task in zip(arrivals, tasks, strict=True):
            arrival["unowned"] = None if task["state"] == State.DONE else True
        done = [task for task in tasks if task["state"] == State.DONE]

        def insert_all(connection: Connection) -> None:
            connection.execute(insert(instances), arrivals)  # noqa: B023 - runs before the next iteration
            connection.execute(insert(work), tasks)  # noqa: B023
            connection.execute(insert(contents), list(_contents(done)))  # noqa: B023
            connection.execute(insert(predictions), list(_predictions(done)))  # noqa: B023
            insert_if_absent(connection, occurrences, ("kind", "value", "block"), _occurrences(arrivals, done))  # noqa: B023

        database.write(insert_all)
    if not database.is_sqlite:  # autovacuum would do this, after inserts of a fifth of the rows by default
        with database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))


def _register(database: Database, version: str) -> int:
    return ledger.register_bundle(
        database,
        name="bench",
        version=version,
        digest=version * 64,
        labels=["clear", "nodule"],
        normal_label="clear",
        now=BEGAN,
    )


def _device(number: int) -> dict[str, str]:
    """Return manufacturer and station: twenty usual stations, a rare one, and one whose images are scattered."""
    if number % _IMAGES_OF_SPARSE_DEVICE == 0:
        return {"manufacturer": "Sparse Devices", "station_name": "SPARSE1"}
    study = number // 50
    if study % _STUDIES_OF_RARE_DEVICE == 0:
        return {"manufacturer": "Rare Devices", "station_name": "RARE1"}
    station = study % 20
    return {"manufacturer": f"Maker of Scanners {station // 5}", "station_name": f"ROOM{station:02d}"}


def _arrival(number: int, source: int, per_hour: int) -> dict[str, Any]:
    uri = f"{number // 50:06d}/{number:08d}.dcm"
    modality = _MODALITIES[number // 50 % len(_MODALITIES)]
    return {
        "id": number,
        "source_id": source,
        "uri": uri,
        "uri_key": blake2b(uri.encode(), digest_size=16).hexdigest(),
        "size": 526_000,
        "mtime_ns": number,
        "arrived_at": BEGAN + timedelta(seconds=number * 3600 / per_hour),
        "content": f"blake3:{number:064x}",
        "sop_instance_uid": f"1.2.826.0.1.3680043.10.999.1.{number}",
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "modality": modality,
        "view_position": {"DX": "PA", "CR": "AP", "MG": "MLO"}.get(modality),
        "laterality": "L" if modality == "MG" else None,
        **_device(number),
        "patient_sex": "FM"[number // 100 % 2],
        "age_band": f"{number // 100 % 9}0-{number // 100 % 9}9",
        "body_part": "CHEST",
        "image_type": "ORIGINAL\\PRIMARY\\AXIAL",
        "study_date": "20260101",
        "rows": 512,
        "columns": 512,
        "frames": 1,
        "patient_key": patient_key(number),
        "accession_key": f"{number // 50:064x}",
        "key_id": "0" * 8,
        "decoder": "native",
    }


def _task(number: int, bundle: int, rng: random.Random, per_hour: int, *, is_last: bool) -> dict[str, Any]:
    """Return one row of work. Every row has every column, because executemany uses the columns of the first row."""
    state, reason = (State.RECEIVED, None) if is_last else _outcome(rng)
    task: dict[str, Any] = {
        "id": number,
        "instance_id": number,
        "ordinal": 0,
        "bundle_id": None,
        "state": state,
        "attempts": 0 if is_last else 1,
        "deaths": 0,
        "expiries": 0,
        "priority": 5,
        "alone": False,
        "reason": reason,
        "label": None,
        "score": None,
        "scores": None,
        "suspicion": None,
        "finished_at": None if is_last else BEGAN + timedelta(seconds=60 + number * 3600 / per_hour),
    }
    if state == State.DONE:
        nodule = rng.random() * (1 if rng.random() < 0.2 else 0.5)
        task |= {"bundle_id": bundle, "label": "nodule" if nodule >= 0.5 else "clear"}
        task |= {"score": max(nodule, 1 - nodule), "scores": [1 - nodule, nodule], "suspicion": nodule}
    return task


def _outcome(rng: random.Random) -> tuple[State, str | None]:
    drawn = rng.random()
    if drawn < 0.005:
        return State.FAILED, rng.choice(("timeout", "killed_worker", "missing_file"))
    if drawn < 0.025:
        return State.REJECTED, rng.choice(("truncated", "not_dicom", "localizer", "no_model"))
    return State.DONE, None


def _occurrences(arrivals: list[dict[str, Any]], done: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Return the rows of `occurrences` that `db.ledger.record` would write for these images."""
    kinds = {"manufacturer": "manufacturer", "station": "station_name", "view": "view_position"}
    found = {
        (kind, arrival[name], arrival["id"] // BLOCK)
        for kind, name in kinds.items()
        for arrival in arrivals
        if arrival[name]
    }
    return sorted(found | {("model", str(task["bundle_id"]), task["instance_id"] // BLOCK) for task in done})


def _contents(done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in done:
        yield {"content": f"blake3:{task['id']:064x}", "work_id": task["id"]}


def _predictions(done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in done:
        yield {"work_id": task["id"], "frame": 0, **{name: task[name] for name in ("label", "score", "scores")}}
