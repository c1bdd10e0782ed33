"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """A mistake of the caller's: the message names the thing and the remedy.

    The commands in `launch/` print it as one line and exit with status 2; inside Python it is a
    `ValueError` like any other.
    """
