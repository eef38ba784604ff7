"""Words that a number decides."""


def count(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun: ``1 well``, ``1,200 wells``; `nouns` where the plural is not ``noun`` + s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
