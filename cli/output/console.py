"""Where commands print: results to standard output, everything else to standard error."""

import json
import sys
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def show_error(message: str) -> None:
    """One line that says what happened and what to do."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(message, markup=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
