"""Define the filters of image searches, and turn their values into fields of ImageFilter, for the API and the pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from db.queries.filters import Sort
from db.tables import State
from imaging.remarks import Remark
from nightread.reasons import Reason

Kind = Literal["word", "text", "id", "key", "content", "sha256", "score", "flag"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchFilter:
    """One filter of a search. Its name in a URL is its key in SEARCH_FILTERS."""

    field: str
    """The field of ImageFilter that holds the values of this filter."""
    kind: Kind = "text"
    several: bool = True
    """Whether the filter can have several values; an image matches if one of them matches."""
    words: tuple[str, ...] = ()
    """All possible values, if `kind` is `word`."""


def conditions_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ImageFilter for the given filters.

    `values` maps names of SEARCH_FILTERS to values. If a filter can have several values, its value is a sequence.
    """
    return {
        found.field: tuple(values[name]) if found.several else values[name]
        for name, found in SEARCH_FILTERS.items()
        if name in values
    }


SEARCH_FILTERS: Mapping[str, SearchFilter] = {
    "state": SearchFilter(field="states", kind="word", words=tuple(state.value for state in State)),
    "reason": SearchFilter(field="reasons", kind="word", words=tuple(reason.value for reason in Reason)),
    "remark": SearchFilter(field="remarks", kind="word", words=tuple(remark.value for remark in Remark)),
    "sort": SearchFilter(field="sort", kind="word", words=get_args(Sort), several=False),
    "label": SearchFilter(field="labels"),
    "source": SearchFilter(field="sources"),
    "modality": SearchFilter(field="modalities"),
    "view_position": SearchFilter(field="view_positions"),  # on the page, `view` chooses between table and pictures
    "manufacturer": SearchFilter(field="manufacturers"),
    "station": SearchFilter(field="station_names"),
    "model": SearchFilter(field="models"),
    "study": SearchFilter(field="study_instance_uid", several=False),
    "series": SearchFilter(field="series_instance_uid", several=False),
    "sop": SearchFilter(field="sop_instance_uid", several=False),
    "content": SearchFilter(field="contents", kind="content"),
    "sha256": SearchFilter(field="sha256", kind="sha256", several=False),
    "id": SearchFilter(field="image_ids", kind="id"),
    "parent": SearchFilter(field="parent_ids", kind="id"),
    # The API also takes unhashed numbers (`patient`, `accession`); addresses of pages contain only hashes.
    "patient_key": SearchFilter(field="patient_keys", kind="key"),
    "accession_key": SearchFilter(field="accession_keys", kind="key"),
    "min_score": SearchFilter(field="min_score", kind="score", several=False),
    "max_score": SearchFilter(field="max_score", kind="score", several=False),
    **{
        name: SearchFilter(field=name, kind="flag", several=False)
        for name in ("withdrawn", "replaced", "conflict", "current", "shadow")
    },
}
"""The filters, in the order in which links and messages list them."""
