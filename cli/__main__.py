"""Run `python -m cli`, for child processes that cannot rely on the path of installed scripts."""

from cli.main import main

main()
