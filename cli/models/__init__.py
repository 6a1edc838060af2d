"""`nightread models`: the networks, from data to a bundle that the workers serve."""

from typing import ClassVar

import click

from cli.lazy import LazyGroup
from nightread.hardware import quiet_tensorflow


class _Models(LazyGroup):
    modules: ClassVar[dict[str, str]] = {
        "list": "cli.models.catalogue",
        "show": "cli.models.catalogue",
        "samples": "cli.models.samples",
        "train": "cli.models.train",
        "evaluate": "cli.models.evaluate",
        "compare": "cli.models.compare",
        "import": "cli.models.importing",
        "remove": "cli.models.remove",
        "activate": "cli.models.activate",
        "deactivate": "cli.models.activate",
        "route": "cli.models.route",
    }


@click.group("models", cls=_Models)
def models_command() -> None:
    """Networks: train, evaluate, import, compare them, and say which images they get.

    Bundles are found among those that ship, in the state folder, and in NIGHTREAD_BUNDLE_DIRS.
    """
    quiet_tensorflow()
