"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """A mistake of the caller's: the message names the thing and the remedy.

    The commands in `launch/` print it as one line and exit with status 2; inside Python it is a
    `ValueError` like any other.
    """


def one_line(text: str) -> str:
    """`text` as a line that no terminal and no log takes for more: names and metadata of files may hold anything."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
