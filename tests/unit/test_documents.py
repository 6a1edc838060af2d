"""README.md and docs/ agree with the code and with each other."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from cli.main import cli
from cli.settings import markdown_table
from imaging.remarks import Remark
from nightread.reasons import Reason

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference" / "cli.md"
PAGES = sorted({ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")} - {GENERATED})
PACKAGES = "nightread|imaging|producer|worker|delivery|models|db|api|cli"
FILE_NAMES = (".sqlite3", ".toml")
LONGEST_README = 130
"""Lines: about two screens for each kind of reader."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_the_table_of_settings_is_the_one_that_the_code_prints() -> None:
    """docs/settings.md holds the output of `nightread settings --markdown` between its two marks."""
    page = (DOCS / "settings.md").read_text("utf-8")
    table = page.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert table.strip() == markdown_table(), "run: python docs/update_settings.py"


def test_the_page_of_reasons_lists_every_reason_and_every_remark() -> None:
    """docs/reasons.md holds the tables that docs/update_reasons.py makes: word, class, message, example, what to do."""
    module = _module("update_reasons")
    page = (DOCS / "reasons.md").read_text("utf-8")
    assert page == module.page_with_tables(page), "run: python docs/update_reasons.py"
    words = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE)
    assert [word for word, *_ in words] == [*map(str, Reason), *map(str, Remark)]
    assert [fault for _, fault, *_ in words[: len(Reason)]] == [reason.fault for reason in Reason]
    assert all(text.endswith(".") for texts in (*module.REASONS.values(), *module.REMARKS.values()) for text in texts)


def test_the_readme_stays_short() -> None:
    """Details belong to the pages of docs/."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= LONGEST_README


def test_the_sample_of_status_has_the_headings_that_status_prints() -> None:
    """When `nightread status` calls a column otherwise, the sample in README.md must be made again."""
    sample = re.search(r"^worker +processes .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sample
    source = (ROOT / "cli" / "status.py").read_text("utf-8")
    assert all(f'"{heading}"' in source for heading in re.split(r"  +", sample[0]))


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A relative link names an existing file; its fragment names a heading of that file."""
    broken = [link for link in _links(page) if not _leads_somewhere(page, link)]
    assert not broken


@each_page
def test_every_source_file_that_a_page_names_exists(page: Path) -> None:
    """A path such as `worker/analyse.py` in a document is a file of the repository."""
    named = set(re.findall(rf"\b(?:{PACKAGES}|tests|benchmarks)/[\w/]+\.py\b", page.read_text("utf-8")))
    missing = sorted(name for name in named if not (ROOT / name).is_file())
    assert not missing


@each_page
def test_every_python_name_that_a_page_names_exists(page: Path) -> None:
    """A dotted name such as `db.ledger.claim` in a document is a module, or is defined in one."""
    text = page.read_text("utf-8")
    named = set(re.findall(rf"`((?:{PACKAGES})(?:\.\w+)+)`|:: ((?:{PACKAGES})(?:\.\w+)+)", text))
    names = {name for pair in named for name in pair if name and not name.endswith(FILE_NAMES)}
    missing = sorted(name for name in names if not _is_defined(name))
    assert not missing


@each_page
def test_python_examples_import_what_exists(page: Path) -> None:
    """A Python block in a document is valid code, and imports only modules and names of nightread that exist."""
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
        ours = [node for node in imports if re.match(rf"(?:{PACKAGES})\b", node.module or "")]
        assert all(_is_defined(f"{node.module}.{alias.name}") for node in ours for alias in node.names)


def test_the_glossary_is_alphabetical_and_defines_each_word_once() -> None:
    """Each table of docs/glossary.md is sorted; no word has two lines."""
    tables = re.findall(r"(?:^\|.*\n)+", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    words = [[line.split("|")[1].strip() for line in table.splitlines()[2:]] for table in tables]
    assert all(table == sorted(table, key=_without_punctuation) for table in words)
    every = [word for table in words for word in table]
    assert len(every) == len(set(every))


def test_the_index_of_decisions_lists_every_record_by_its_title() -> None:
    """docs/decisions/index.md has one line per record, with the record's number and title."""
    index = (DOCS / "decisions" / "index.md").read_text("utf-8")
    for record in sorted((DOCS / "decisions").glob("0*.md")):
        number, title = record.read_text("utf-8").splitlines()[0].removeprefix("# ").split(". ", 1)
        assert int(number) == int(record.name[:4])
        assert f"| {number} | [{title}]({record.name}) |" in index


def test_every_page_is_in_the_table_of_contents() -> None:
    """docs/index.md, or the index of decisions, leads to every page."""
    contents = (DOCS / "index.md").read_text("utf-8").splitlines()
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert not [page for page in pages if page not in contents and not page.startswith("decisions/0")]


def test_the_command_reference_has_every_command() -> None:
    """docs/cli_reference.py writes a heading for each command and sub-command that is not hidden."""
    page = _module("cli_reference").cli_reference()
    for path in _command_paths(cli, click.Context(cli, info_name="nightread")):
        assert f"# `{path}`\n" in page


def test_the_command_reference_keeps_patterns_and_examples() -> None:
    """Markdown shows help texts as they are: special characters are escaped, examples are code."""
    module = _module("cli_reference")
    assert module._escaped("all of <DIR>/*.dcm, see `a|b*`") == r"all of \<DIR\>/\*.dcm, see `a\|b*`"
    assert list(module._paragraphs("Do it.\n\n\b\nExample: nightread x\n")) == [
        "Do it.",
        "```text\nExample: nightread x\n```",
    ]


def _links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http://", "https://")):
            yield link


def _leads_somewhere(page: Path, link: str) -> bool:
    file, _, fragment = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    if target == GENERATED:
        return not fragment
    if not target.is_file():
        return False
    return not fragment or fragment in _anchors(target)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _is_defined(name: str) -> bool:
    """Whether the longest part of `name` that is a module or package has the rest of it, without importing it."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        sources = (place.with_suffix(".py"), place / "__init__.pyi", place / "__init__.py")  # the stub has lazy names
        source = next((source for source in sources if source.is_file()), None)
        if source is not None:
            rest = parts[length:]
            sources = (source, source.with_suffix(".pyi"))  # the latter lists the names of nightread.lazy_exports
            found = "".join(each.read_text("utf-8") for each in sources if each.is_file())
            return not rest or re.search(rf"\b{rest[0]}\b", found) is not None
    return False


def _without_punctuation(word: str) -> str:
    return re.sub(r"[^a-z0-9 ]", "", word.lower())


def _command_paths(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if not command.hidden:
            yield inner.command_path
        if isinstance(command, click.Group):
            yield from _command_paths(command, inner)


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
