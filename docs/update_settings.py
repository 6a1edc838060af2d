"""Write the table of docs/settings.md from the code: `python docs/update_settings.py`."""

from pathlib import Path

from cli.settings import markdown_table

BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def main() -> None:
    """Replace everything between the two marks."""
    page = Path(__file__).parent / "settings.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}{markdown_table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
