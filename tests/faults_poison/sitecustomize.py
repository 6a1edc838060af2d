"""Python imports this at its start when the folder is on PYTHONPATH."""

import poison

poison.await_reader()
