"""What imaging raises, beyond the errors of the spine."""

from imaging.facts import NO_FACTS, Facts
from nightread.errors import RejectImage
from nightread.reasons import Reason


class RejectDicomImage(RejectImage):
    """The scan cannot be analysed; `facts` is what its header told before that."""

    def __init__(self, reason: Reason, detail: str = "", *, facts: Facts = NO_FACTS) -> None:
        super().__init__(reason, detail)
        self.facts = facts
