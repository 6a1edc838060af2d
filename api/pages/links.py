"""Build the links between pages, and from pages to the data of the API. Every value is percent-encoded."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

Value = str | int | float | None
Values = Value | Sequence[Value]


def path_link(path: str, query: Mapping[str, Values] | None = None, **more: Value) -> str:
    """Return a path with a query. A list becomes several parameters of one name; None and empty values are left out."""
    pairs = [
        (name, each)
        for name, value in {**(query or {}), **more}.items()
        for each in (value if isinstance(value, list | tuple) else [value])
        if each not in (None, "")
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def images_link(**query: Value) -> str:
    """Return the link to the list of images with these filters. api.pages.image_search defines the filters."""
    return path_link("/images", query)


def studies_data_link(style: str, query: Mapping[str, Values]) -> str:
    """Return the link to the data of studies; `style` is csv, json or jsonl."""
    return path_link("/v1/studies", {**query, "format": style})


def results_link(style: str, query: Mapping[str, Values]) -> str:
    """Return the link to the data of images; `style` is csv, json, jsonl or parquet."""
    return path_link("/v1/results", {**query, "format": style})


def study_link(study_instance_uid: str) -> str:
    """Return the link to the page of a study."""
    return f"/studies/{quote(study_instance_uid, safe='')}"


def viewer_link(template: str | None, *, study: str | None, series: str | None = None, sop: str | None = None) -> str:
    """Return the link to a study in the viewer; empty if there is no viewer or no study.

    UIDs are percent-encoded, because the UID in a header may be any text.
    """
    if template is None or not study:
        return ""
    address = template
    for name, uid in (("study", study), ("series", series), ("sop", sop)):
        address = address.replace(f"{{{name}}}", quote(uid or "", safe=""))
    return address
