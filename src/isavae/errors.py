"""Errors as sentences."""


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message, or its type where it has no message.

    Examples:
        >>> first_line(ValueError("sizes must match\n  at row 3")), first_line(KeyboardInterrupt())
        ('sizes must match', 'KeyboardInterrupt')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
