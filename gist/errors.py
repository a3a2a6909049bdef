"""What `gist` raises when a person has to act: one line each, without a traceback.

`gist` knows nothing of the harness, so these are translated to `harness.errors` where the two meet.
"""


class GistError(Exception):
    """A mistake that the person at the terminal can mend: what was given, what is allowed."""


class TooLong(GistError):
    """More positions are needed than the model has."""


class DoesNotFit(GistError):
    """More memory is needed than there is; foreseen before anything is allocated."""
