"""The exceptions whose text is meant for the person who runs the program."""


class UserError(ValueError):
    """Something outside the program is wrong: a file, a parameter, a setting.

    The message says what was wrong, where (file, row, key) and what to do. Commands and stages
    print it without a traceback and exit with status 1.
    """


PREEMPTED = 75
"""Exit status of a training that was told to stop and saved its state (EX_TEMPFAIL)."""
BUDGET_SPENT = 76
"""Exit status of a training whose minutes (`YOLO_MAX_MINUTES`) are spent; its state is saved."""


class Stopped(Exception):
    """A training that ended early with its state saved; the same command goes on from there."""

    def __init__(self, message: str, status: int) -> None:
        """`status`: the exit status of the stage, `PREEMPTED` or `BUDGET_SPENT`."""
        super().__init__(message)
        self.status = status
