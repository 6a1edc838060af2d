"""Define the error for a foreign network that is refused."""

from nightread.errors import UsageFault


class RefusedModel(UsageFault):
    """The file is refused. The message says what is wrong, where in the file, and what its author can do."""
