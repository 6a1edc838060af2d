"""Print results to standard output and everything else to standard error."""

import json
import sys
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def show_error(message: str) -> None:
    """Print one line on standard error that says what happened and what to do."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(message, markup=False)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
