"""Turn results of series into rows for programs."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from db.queries import Series, SpeakingSlice

SERIES_COLUMNS = tuple(field.name for field in fields(Series))


def series_row(series: Series) -> dict[str, Any]:
    """Return a result as a row for JSON; `evidence` is a list of objects, the strongest evidence first."""
    values = asdict(series) | {"evidence": [slice_object(each) for each in series.evidence]}
    return {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in values.items()}


def flat_series_row(series: Series) -> dict[str, Any]:
    """Return a result as a row for tables; `evidence` is a list of texts such as `place=3,image=1042,frame=0`."""
    words = [f"place={each.place},image={each.image_id},frame={each.frame}" for each in series.evidence]
    return series_row(series) | {"evidence": words}


def slice_object(each: SpeakingSlice) -> dict[str, Any]:
    """Return one slice, which is evidence for the label, as an object for JSON."""
    return {"place": each.place, "image_id": each.image_id, "frame": each.frame, "score": each.score}
