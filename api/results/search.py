"""Turn the parameters of /v1/results into a filter with the conditions of `nightread query`."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from api.context import ApiContext
from api.number_search import PARAMETER, Numbers
from api.results.times import Text, Times, bounds_of, unprocessable
from api.search_filters import SEARCH_FILTERS, conditions_of
from db.queries import COLUMNS, ImageFilter
from db.tables import State
from imaging.remarks import Remark
from nightread.content_digest import is_content, is_sha256
from nightread.errors import UsageFault
from nightread.reasons import Reason

LARGEST_ID = 2**63 - 1
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
_MOST_VALUES = 100

_Ids = Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_ID)]], Field(max_length=_MOST_VALUES)]
_Texts = Annotated[list[Text], Field(max_length=_MOST_VALUES)]
_Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _known_reason(text: str) -> str:
    if text not in _REASONS:
        raise ValueError("there is no such reason")
    return text


def _content(text: str) -> str:
    if not is_content(text):
        raise ValueError("give `blake3:` or `sha256:` and 64 hex digits")
    return text


def _sha256(text: str) -> str:
    if not is_sha256(text):
        raise ValueError("give 64 hex digits")
    return text


_REASONS = [reason.value for reason in Reason]
_Reason = Annotated[str, AfterValidator(_known_reason), WithJsonSchema({"type": "string", "enum": _REASONS})]


class ResultsSearch(Times):
    """The parameters of a search. Several values of one parameter are alternatives; all parameters must match."""

    id: _Ids = Field([], description="Id of the image.")
    state: list[State] = Field([], max_length=_MOST_VALUES, description="State of the image.")
    reason: list[_Reason] = Field([], max_length=_MOST_VALUES, description="Reason why there is no result.")
    label: _Texts = Field([], description="Label of the result.")
    remark: list[Remark] = Field([], max_length=_MOST_VALUES, description="Remark on the result.")
    min_score: _Score | None = Field(None, description="Lowest score of the resulting label.")
    max_score: _Score | None = Field(None, description="Highest score of the resulting label.")
    source: _Texts = Field([], description="Name of the source.")
    modality: _Texts = Field([], description="Modality, such as CT.")
    view_position: _Texts = Field([], description="View of a radiograph, such as PA or MLO.")
    manufacturer: _Texts = Field([], description="Manufacturer of the device, as the header names it.")
    station: _Texts = Field([], description="Name of the device at its site.")
    model: _Texts = Field([], description="`NAME` or `NAME@VERSION`: results of this model, including further results.")
    shadow: bool = Field(False, description="Only results of shadow models (on trial).")
    patient: Text | None = Field(None, description="PatientID; it is hashed before the search.")
    accession: Text | None = Field(None, description="AccessionNumber; it is hashed before the search.")
    issuer: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Only images of this issuer; an empty value: only images that name no issuer."
    )
    study: Text | None = Field(None, description="Study Instance UID.")
    series: Text | None = Field(None, description="Series Instance UID.")
    sop: Text | None = Field(None, description="SOP Instance UID.")
    content: list[Annotated[Text, AfterValidator(_content)]] = Field(
        [],
        max_length=_MOST_VALUES,
        description="Identity of the file's bytes: `blake3:` or `sha256:` and 64 hex digits.",
    )
    sha256: Annotated[Text, AfterValidator(_sha256)] | None = Field(
        None, description="SHA-256 of a file that an earlier release analysed."
    )
    parent: _Ids = Field([], description="Image id of the archive that contained the image.")
    withdrawn: bool | None = Field(None, description="Whether a key object note rejects the image.")
    replaced: bool | None = Field(None, description="Whether another file of the same name replaced the file.")
    conflict: bool | None = Field(None, description="Whether the image is in conflict with another source.")
    current: bool = Field(False, description="Leave out withdrawn images and old versions of images.")
    frames: bool = Field(False, description="One row per analysed frame.")
    sort: Literal["id", "newest", "score", "suspicion", "finished"] = Field("id", description="Order of the rows.")
    format: Literal["json", "jsonl", "csv", "parquet"] | None = Field(
        None, description="Format; overrides the header Accept. JSON has pages, the other formats have all rows."
    )
    limit: int | None = Field(
        None,
        ge=1,
        description=f"Rows of a page [{DEFAULT_LIMIT}, at most {LARGEST_LIMIT}] or of a file [all].",
    )
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="Position of the next page, from `next` of the previous page."
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return (*COLUMNS, "frame") if self.frames else COLUMNS


def filter_of(search: ResultsSearch, context: ApiContext) -> tuple[ImageFilter, str | None]:
    """Return the filter, and a note about the issuers of the given numbers, if there is something to say.

    Raises Problem 422 and database errors.
    """
    since, until = bounds_of(search, context)
    if search.min_score is not None and search.max_score is not None and search.min_score > search.max_score:
        raise unprocessable("No score is between `min_score` and `max_score`: `min_score` must not be the larger one.")
    given = search.model_dump(include=set(SEARCH_FILTERS))
    wanted = ImageFilter(since=since, until=until, per_frame=search.frames, **conditions_of(given))
    return _with_numbers(wanted, search, context)


def _with_numbers(wanted: ImageFilter, search: ResultsSearch, context: ApiContext) -> tuple[ImageFilter, str | None]:
    notes: list[str] = []
    try:
        numbers = Numbers(patient=search.patient, accession=search.accession, issuer=search.issuer)
        found = numbers.add_to(wanted, context.database, context.settings, notes.append, option=PARAMETER)
    except UsageFault:
        raise unprocessable(
            "The number cannot be searched: `issuer` is given without `patient` or `accession`, or the API does not "
            "have the site key of the workers."
        ) from None
    return found, " ".join(notes) or None


def page_limit(search: ResultsSearch) -> int:
    """Return the number of rows of a page of JSON."""
    return min(search.limit or DEFAULT_LIMIT, LARGEST_LIMIT)


def with_limit(wanted: ImageFilter, search: ResultsSearch) -> ImageFilter:
    """Return the filter for a file. The file gets at most `limit` rows, or all rows if no limit is given."""
    return replace(wanted, limit=search.limit)
