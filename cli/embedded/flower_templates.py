"""Load the pages of Flower, with a navigation bar and a page that nightread adds to them."""

from pathlib import Path

import flower
from tornado.template import Loader, Template

_OWN = Path(__file__).parent / "flower_pages"
_FLOWERS_OWN = "original/"
"""Prefix by which a page of nightread includes the page of Flower that it replaces; both pages have the same name."""


class FlowerTemplates(Loader):
    """Loads nightread's template if there is one with this name, else Flower's template."""

    def __init__(self) -> None:
        super().__init__(str(Path(flower.__file__).parent / "templates"))

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:  # noqa: ARG002 - one flat folder
        """Return the name: all templates are in one folder."""
        return name

    def _create_template(self, name: str) -> Template:
        own = _OWN / name
        path = own if own.is_file() else Path(self.root) / name.removeprefix(_FLOWERS_OWN)
        return Template(path.read_bytes(), name=name, loader=self)
