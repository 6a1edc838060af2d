"""Fill a database with a night that has everything: failures, duplicates, an incomplete study and a dead store."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from db import ledger
from db.engine import Database
from db.ledger import Expected
from db.ledger.arrivals import uri_key
from db.store_tables import deliveries
from db.tables import State, batches, instances, predictions, work, workers

SINCE = datetime(2026, 11, 5, 18, tzinfo=UTC)
"""The start of the night in UTC, with the settings of a site in UTC."""
MORNING = datetime(2026, 11, 6, 6, 40, tzinfo=UTC)
LABELS = ("clear", "nodule", "effusion")
_EMPTY = ("reason", "label", "score", "scores", "suspicion", "bundle_id", "duplicate_of", "remarks", "detail")
_STUDY = 25
_BATCH = 16
_REASONS = (
    ("rejected", "truncated"),
    ("rejected", "truncated"),
    ("rejected", "localizer"),
    ("rejected", "not_dicom"),
    ("rejected", "no_model"),
    ("failed", "timeout"),
    ("failed", "missing_file"),
)
_NODES = ("nightread@gpu-1", "nightread@gpu-2")


@dataclass(frozen=True, kw_only=True)
class MixedNight:
    """What was written, for comparison."""

    source_id: int
    bundle_id: int
    incomplete: str
    """Study Instance UID of the study that misses images."""


def fill_mixed_night(
    database: Database,
    *,
    images: int = 2000,
    earlier: int = 200,
    unfinished: int = 0,
    uris: Sequence[str] = (),
    root: str = "/inbox",
) -> MixedNight:
    """Write seven earlier nights and one night; `uris` are the places of its images, if there are real files."""
    source = ledger.ensure_source(database, name="inbox", kind="folder", root=root, now=SINCE)
    _dead_store(database)
    bundle = ledger.register_bundle(
        database,
        name="phantom",
        version="1.1",
        digest="d" * 64,
        labels=list(LABELS),
        normal_label="clear",
        now=SINCE,
    )
    rng = random.Random(11)
    rows = _Rows(source=source, bundle=bundle, rng=rng)
    for night in range(7, 0, -1):
        rows.add_night(SINCE - timedelta(days=night), earlier, unfinished=0, uris=())
    rows.add_night(SINCE, images, unfinished=unfinished, uris=uris)
    database.write(rows.insert)
    incomplete = rows.arrivals[-(images // 2)]["study_instance_uid"]
    _studies(database, source, rows, incomplete)
    _workers(database)
    return MixedNight(source_id=source, bundle_id=bundle, incomplete=incomplete)


class _Rows:
    """The rows of all tables, which are inserted at once."""

    def __init__(self, *, source: int, bundle: int, rng: random.Random) -> None:
        self.arrivals: list[dict[str, Any]] = []
        self.work: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        self._source, self._bundle, self._rng = source, bundle, rng

    def add_night(self, since: datetime, images: int, *, unfinished: int, uris: Sequence[str]) -> None:
        """Add arrivals over nine hours, with a busy hour after midnight, and their outcomes some minutes later."""
        times = sorted(self._arrival_time(since) for _ in range(images))
        first = len(self.arrivals)
        for number, arrived in enumerate(times):
            uri = uris[number % len(uris)] if uris else f"{since:%m%d}/{number:06d}.dcm"
            self._add(arrived, uri, is_open=number >= images - unfinished, number=first + number + 1)
        self._add_batches(first)

    def insert(self, connection: Any) -> None:
        """Insert all rows."""
        connection.execute(insert(instances), self.arrivals)
        connection.execute(insert(work), self.work)
        connection.execute(insert(batches), self.batches)
        done = [row for row in self.work if row["state"] == State.DONE]
        names = ("label", "score", "scores")
        connection.execute(
            insert(predictions),
            [{"work_id": row["id"], "frame": 0, **{name: row[name] for name in names}} for row in done],
        )

    def _arrival_time(self, since: datetime) -> datetime:
        hours = self._rng.choice((self._rng.uniform(0.2, 9), self._rng.gauss(6.4, 0.5), self._rng.uniform(1, 4)))
        return since + timedelta(hours=min(max(hours, 0.1), 11))

    def _add(self, arrived: datetime, uri: str, *, is_open: bool, number: int) -> None:
        study = f"1.2.826.0.1.3680043.10.999.2.{number // _STUDY}"
        is_copy = not is_open and self._rng.random() < 0.02 and number > 1
        self.arrivals.append(
            {
                "id": number,
                "source_id": self._source,
                "uri": uri,
                "uri_key": uri_key(uri),
                "size": 526_000,
                "mtime_ns": number,
                "arrived_at": arrived,
                "content": None if is_open else f"{number - is_copy:064x}",
                "sop_instance_uid": None if is_open else f"1.2.826.0.1.3680043.10.999.1.{number - is_copy}",
                "series_instance_uid": f"{study}.1",
                "study_instance_uid": study,
                "modality": "DX" if number // _STUDY % 3 else "CR",
                "body_part": "CHEST",
                "transfer_syntax": "1.2.840.10008.1.2.1",
                "rows": 512,
                "columns": 512,
                "frames": 1,
            }
        )
        self.work.append(self._outcome(number, arrived, is_open=is_open, is_copy=is_copy))

    def _outcome(self, number: int, arrived: datetime, *, is_open: bool, is_copy: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": number,
            "instance_id": number,
            "ordinal": 0,
            "state": State.RECEIVED,
            "attempts": 0 if is_open else 1,
            "deaths": 0,
            "expiries": 0,
            "priority": 5,
            "alone": False,
            "batch_id": None,
            "finished_at": None,
            **dict.fromkeys(_EMPTY),
        }
        if is_open:
            return row
        row["finished_at"] = arrived + timedelta(minutes=self._rng.uniform(1, 25))
        if is_copy:
            return row | {"state": State.DUPLICATE, "duplicate_of": number - 1}
        if self._rng.random() < 0.03:
            state, reason = self._rng.choice(_REASONS)
            return row | {
                "state": State(state),
                "reason": reason,
                "detail": "The file ends after 1,024 of 526,000 bytes.",
            }
        return row | self._result()

    def _result(self) -> dict[str, Any]:
        weights = [self._rng.random() ** power for power in (0.4, 5, 6)]
        scores = [weight / sum(weights) for weight in weights]
        label = LABELS[scores.index(max(scores))]
        remark = "near_domain_edge" if self._rng.random() < 0.01 else None
        result = {"state": State.DONE, "bundle_id": self._bundle, "remarks": remark}
        return result | {"label": label, "score": max(scores), "scores": scores, "suspicion": 1 - scores[0]}

    def _add_batches(self, first: int) -> None:
        """Put the finished work of a night into batches of up to 16 images."""
        finished = sorted((row for row in self.work[first:] if row["finished_at"]), key=lambda row: row["finished_at"])
        for begin in range(0, len(finished), _BATCH):
            rows = finished[begin : begin + _BATCH]
            number = len(self.batches) + 1
            ended = rows[-1]["finished_at"]
            outcomes: dict[str, int] = {}
            for row in rows:
                row["batch_id"] = f"00000000-0000-4000-8000-{number:012d}"
                row["finished_at"] = ended
                outcomes[row["state"].value] = outcomes.get(row["state"].value, 0) + 1
            self.batches.append(
                {
                    "id": rows[0]["batch_id"],
                    "images": len(rows),
                    "bytes": 526_000 * len(rows),
                    "created_at": ended - timedelta(seconds=9),
                    "claimed_at": ended - timedelta(seconds=8),
                    "finished_at": ended,
                    "node": _NODES[number % 2],
                    "boot_id": "boot-1",
                    "process_index": number % 4,
                    "release": "0.1.0",
                    "seconds": {"fetch": 0.4, "read": 1.9, "prepare": 1.1, "predict": 3.1, "record": 0.2},
                    "outcomes": outcomes,
                }
            )


def _dead_store(database: Database) -> None:
    """Add a store that has not answered for hours."""
    store = ledger.ensure_source(
        database, name="pacs", kind="dicomweb", root="https://pacs.example/dicom-web", now=SINCE
    )
    report = {"troubles": ["has not answered since 02:10 (connection refused)"]}
    ledger.report_source(database, store, report, now=MORNING - timedelta(seconds=20))


def _studies(database: Database, source: int, rows: _Rows, incomplete: str) -> None:
    """Expect four images more than arrived in one study, and one image of another study."""
    arrived = {row["sop_instance_uid"] for row in rows.arrivals if row["study_instance_uid"] == incomplete}
    expected = {incomplete: len(arrived) + 4, rows.arrivals[0]["study_instance_uid"]: 1}
    reports = [
        Expected(study_instance_uid=study, source_id=source, reported_by="store", images=images)
        for study, images in expected.items()
    ]
    ledger.expect(database, reports, now=MORNING)
    database.write(lambda connection: connection.execute(insert(deliveries), list(_deliveries(incomplete))))


def _deliveries(study: str) -> Iterator[dict[str, Any]]:
    yield {
        "study_instance_uid": study,
        "destination": "pacs",
        "sop_instance_uid": "2.25.1",
        "content": "c" * 64,
        "state": "delivered",
        "attempts": 1,
        "created_at": MORNING,
        "finished_at": MORNING,
    }


def _workers(database: Database) -> None:
    """One worker is alive, the other one died an hour ago."""
    rows = [
        {
            "node": node,
            "boot_id": "boot-1",
            "slots": 2,
            "device": "2 GPU",
            "release": "0.1.0",
            "started_at": SINCE,
            "heartbeat_at": MORNING - silent,
        }
        for node, silent in zip(_NODES, (timedelta(seconds=7), timedelta(hours=1)), strict=True)
    ]
    database.write(lambda connection: connection.execute(insert(workers), rows))
