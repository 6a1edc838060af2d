"""Write numbers with the right singular or plural."""


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return `1 image`, `2 images`; without `plural`, the plural is the singular and an s."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
