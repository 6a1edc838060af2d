"""README.md keeps pace with the code."""

from pathlib import Path

from cli.settings import markdown_table

ROOT = Path(__file__).parents[2]


def test_the_table_of_settings_is_the_one_that_the_code_prints() -> None:
    """`nightread settings --markdown` stands in README.md between its two marks."""
    readme = (ROOT / "README.md").read_text()
    table = readme.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert table.strip() == markdown_table()


def test_documents_that_are_linked_exist() -> None:
    """No link of README.md leads nowhere."""
    readme = (ROOT / "README.md").read_text()
    linked = {part.partition(")")[0] for part in readme.split("](")[1:]}
    missing = {link for link in linked if not link.startswith("http") and not (ROOT / link).exists()}
    assert not missing
