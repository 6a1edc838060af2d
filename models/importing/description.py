"""Read the description of a network, which a foreign file holds as JSON, without using more memory than a limit."""

import json
from typing import Any

from models.importing.errors import RefusedModel

MAX_TEXT_BYTES = 64 * 1024**2
MAX_NODES = 2_000_000
_MARKS = 2 * MAX_NODES
"""The largest accepted number of `[`, `{` and `,`. Each value follows one of them; texts may contain more of them."""


def description(text: bytes | str) -> dict[str, Any]:
    """Return the description. Raises RefusedModel if it is invalid, too long, or not an object."""
    try:
        config = read_json(text)
    except (ValueError, RecursionError) as error:
        raise RefusedModel(
            "The file's description of the network is invalid JSON: it is damaged. Copy it again."
        ) from error
    if not isinstance(config, dict):
        raise RefusedModel("The file's description of the network is not a JSON object. Save it again.")
    return config


def read_json(text: bytes | str) -> Any:
    """Parse JSON. Raises RefusedModel, before memory is used, if it has too many values; also errors of json.loads."""
    if isinstance(text, bytes):
        count = text.count(b"[") + text.count(b"{") + text.count(b",")
    else:
        count = text.count("[") + text.count("{") + text.count(",")
    if len(text) > MAX_TEXT_BYTES or count > _MARKS:
        raise RefusedModel(
            "The file's description of the network is longer than that of any real network. "
            f"Ask the author of the model for another file: at most {MAX_NODES:,} nodes are accepted."
        )
    return json.loads(text)
