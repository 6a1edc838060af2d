"""Define the command group `nightread models`."""

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
        "export": "cli.models.export",
        "remove": "cli.models.remove",
        "activate": "cli.models.activate",
        "deactivate": "cli.models.activate",
        "route": "cli.models.route",
    }


@click.group("models", cls=_Models)
def models_command() -> None:
    """Train, evaluate, compare, import and activate models.

    A model is stored as a bundle: a folder with a network and everything that turns its scores into a result. Bundles
    are found in the package, in `bundles` of the state folder, and in the folders of NIGHTREAD_BUNDLE_DIRS.
    """
    quiet_tensorflow()
