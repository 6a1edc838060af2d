"""`python -m cli`, for children that must not depend on where scripts are installed."""

from cli.main import main

main()
