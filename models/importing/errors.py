"""Why a foreign network is not taken."""

from nightread.errors import UsageFault


class RefusedModel(UsageFault):
    """The file stays outside; the message says what is wrong, where in it, and what its author can do."""
