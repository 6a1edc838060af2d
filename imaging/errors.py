"""Define the error that also holds the facts of a rejected image."""

from imaging.facts import NO_FACTS, Facts
from nightread.errors import RejectImage
from nightread.reasons import Reason


class RejectDicomImage(RejectImage):
    """A file is rejected. `facts` holds what was read from its header before the error."""

    def __init__(self, reason: Reason, detail: str = "", *, facts: Facts = NO_FACTS) -> None:
        super().__init__(reason, detail)
        self.facts = facts
