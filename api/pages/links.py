"""Build the links between pages and to the data behind them; every value is percent-encoded."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

Value = str | int | float | None
Values = Value | Sequence[Value]


def path_link(path: str, query: Mapping[str, Values] | None = None, **more: Value) -> str:
    """Return a path with a query; values that are None or empty are left out, a list repeats its name."""
    pairs = [
        (name, each)
        for name, value in {**(query or {}), **more}.items()
        for each in (value if isinstance(value, list | tuple) else [value])
        if each not in (None, "")
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def images_link(**query: Value) -> str:
    """Return the list of images that match these filters, with the names of `nightread query`."""
    return path_link("/images", query)


def studies_data_link(style: str, query: Mapping[str, Values]) -> str:
    """Return the address of studies as data; style is csv, json or jsonl."""
    return path_link("/v1/studies", {**query, "format": style})


def results_link(style: str, query: Mapping[str, Values]) -> str:
    """Return the address of the same rows as data; style is csv, json, jsonl or parquet."""
    return path_link("/v1/results", {**query, "format": style})


def study_link(study_instance_uid: str) -> str:
    """Return the page of a study."""
    return f"/studies/{quote(study_instance_uid, safe='')}"


def viewer_link(template: str | None, *, study: str | None, series: str | None = None, sop: str | None = None) -> str:
    """Return the address of the viewer for a study; empty if there is no viewer or no study.

    UIDs are percent-encoded: a header may hold anything in their place.
    """
    if template is None or not study:
        return ""
    address = template
    for name, uid in (("study", study), ("series", series), ("sop", sop)):
        address = address.replace(f"{{{name}}}", quote(uid or "", safe=""))
    return address
