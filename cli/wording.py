"""Write numbers with the right singular or plural (nightread.wording)."""

from nightread.wording import counted

__all__ = ["counted"]
