"""What messages and logs must not tell of a few people."""


def shown(number: int) -> str:
    """A count as messages and logs show it: 1 to 9 become <10, so that nobody is singled out.

    >>> shown(0), shown(9), shown(10)
    ('0', '<10', '10')
    """
    return "<10" if 0 < number < 10 else f"{number:,}"
