"""The parent of the worker processes learns from them which bundle `--model` names."""

import os

from worker.lifecycle.reported_model import ReportedModel


def test_the_parent_reads_what_its_process_wrote() -> None:
    """A shorter reference replaces a longer one completely."""
    reported = ReportedModel()
    assert reported.read() is None
    for reference in ("phantom@1.10.2", "mnist@2"):
        if (pid := os.fork()) == 0:
            reported.write(reference)
            os._exit(0)
        os.waitpid(pid, 0)
        assert reported.read() == reference
