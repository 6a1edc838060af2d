"""Configure Sphinx for `make docs`. Each warning is an error, and nothing is fetched from a network."""

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
LOADED_FROM_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import\s+["']https?:"""
)
"""Matches HTML and CSS that makes a browser load something from another host; ordinary links do not match."""
sys.path[:0] = [str(HERE), str(HERE.parent)]

from cli_reference import cli_reference  # noqa: E402 - the folder of this file was not on the path before

from nightread import __version__  # noqa: E402

project = "nightread"
author = "the nightread authors"
copyright = author  # noqa: A001 - Sphinx reads this name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_*"]
myst_heading_anchors = 3  # links such as ledger.md#states, as on GitHub
suppress_warnings = ["myst.header"]  # a page that is one long table may skip a level of headings

smartquotes = False  # `--option` in a sentence keeps its two dashes
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": False}
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"  # system fonts: the pages load nothing from other hosts
html_title = "nightread"
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Write the command-line reference before Sphinx looks for pages."""
    page = HERE / "reference" / "cli.md"
    text = cli_reference()
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
    app.connect("autodoc-process-docstring", _to_restructured_text)
    app.connect("build-finished", _check_pages)


def _to_restructured_text(*arguments: Any) -> None:
    """Turn a docstring from Markdown into reStructuredText: `code` becomes a literal, the other text is escaped."""
    lines = arguments[-1]
    parts = "\n".join(lines).split("`")
    escaped = [
        rf"\ ``{part}``\ " if index % 2 else re.sub(r"[*|]|_(?!\w)", r"\\\g<0>", part)
        for index, part in enumerate(parts)
    ]
    lines[:] = "".join(escaped).split("\n")


def _check_pages(app: Sphinx, error: Exception | None) -> None:
    """Fail the build if a page or style sheet would load anything from another host."""
    if error is not None:
        return
    for page in sorted(Path(app.outdir).rglob("*")):
        if page.suffix in (".html", ".css"):
            found = LOADED_FROM_ELSEWHERE.search(page.read_text(encoding="utf-8"))
            if found:
                log.error("%s would load something from another host: %s", page, found[0])
                app.statuscode = 1
