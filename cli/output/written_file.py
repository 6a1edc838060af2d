"""Write a page into the file that a person named."""

import sys
from pathlib import Path

from cli.output.console import err
from nightread.errors import UsageFault


def write_page(page: str, output: Path) -> None:
    """Write a page; the file appears when it is complete. `-` is standard output. Raises UsageFault on OSError."""
    if str(output) == "-":
        sys.stdout.write(page)
        return
    part = output.with_name(f"{output.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        raise UsageFault(f"Cannot write {output} ({type(error).__name__}): choose another file with -o.") from None
    finally:
        part.unlink(missing_ok=True)
    err.print(f"Wrote {output}.")
