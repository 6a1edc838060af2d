"""Fill nights of a ledger with results of known shares."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db.ledger import Claimed, FramePrediction, Outcome
from imaging.facts import Facts
from nightread.drift.levels import pack
from nightread.nights import Nights

NIGHTS = Nights(start=time(18), end=time(7), zone=ZoneInfo("Europe/Berlin"))
EVENING = date(2026, 11, 3)
FACTS = Facts(
    modality="DX",
    device_model="Alpha",
    view_position="PA",
    rows=2022,
    columns=2022,
    photometric="MONOCHROME2",
    pixel_spacing=0.175,
)


def fill_night(
    driver: LedgerDriver,
    bundle_id: int,
    evening: date,
    *,
    images: int = 120,
    positive: float = 0.2,
    dark: int = 100,
    models: Sequence[str] = ("Alpha", "Beta"),
) -> None:
    """Record `images` results in a night: each study has two images of one device; `dark` is the median level."""
    rng = np.random.default_rng([evening.toordinal(), images])
    driver.clock.now = _midnight(evening)
    driver.register(build_arrivals(images))
    for batch in driver.form():
        driver.record(
            batch,
            [_outcome(image, bundle_id, rng, positive, dark, models) for image in driver.claim(batch)],
        )


def evening_of(number: int) -> date:
    """Return the evening of night `number` from 0."""
    return EVENING + timedelta(days=number)


def morning(evening: date) -> datetime:
    """Return a time shortly after the end of a night."""
    return NIGHTS.bounds(evening)[1] + timedelta(minutes=1)


def _midnight(evening: date) -> datetime:
    return NIGHTS.bounds(evening)[0] + timedelta(hours=6)


def _outcome(
    image: Claimed, bundle_id: int, rng: np.random.Generator, positive: float, dark: int, models: Sequence[str]
) -> Outcome:
    study = image.instance_id // 2
    of_study = np.random.default_rng(study)
    nodule = float(of_study.random() < positive) * 0.6 + 0.3 * float(rng.random())
    label, score = ("nodule", nodule) if nodule > 0.5 else ("normal", 1 - nodule)
    scores = [1 - nodule, nodule]
    levels = np.clip(np.array([[dark - 80, dark - 40, dark, dark + 40, dark + 80]]) + rng.normal(0, 8), 0, 255)
    model = models[study % len(models)]
    facts = replace_facts(device_model=model, study_instance_uid=f"1.2.3.{study}")
    return build_outcome(
        image,
        bundle_id=bundle_id,
        label=label,
        score=score,
        scores=scores,
        frames=(FramePrediction(frame=0, label=label, score=score, scores=scores),),
        facts=facts,
        intensities=pack(levels.astype(np.uint8))[0],
    )


def replace_facts(**values: object) -> Facts:
    """Return the facts of a film with other values."""
    return FACTS._replace(**values)  # type: ignore[arg-type]
