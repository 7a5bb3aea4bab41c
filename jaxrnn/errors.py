"""The errors that a user can cause, each one clear line: what is wrong, where, and what to do.

A command prints the line and exits with 2; in a program they are ordinary exceptions.
"""


class UserError(Exception):
    """Something outside the program is not as it must be, and the user can mend it."""

    def __str__(self) -> str:
        # a broken file's own words may hold line breaks, and what a terminal obeys
        return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in super().__str__())


class DataError(UserError):
    """A data file or folder is missing, broken, or not what it says it is."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class SettingsError(UserError):
    """A setting, or a combination of settings, makes no sense."""
