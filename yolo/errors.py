"""The one exception whose text is meant for the person who runs the program."""


class UserError(ValueError):
    """Something outside the program is wrong: a file, a parameter, a setting.

    The message says what was wrong, where (file, row, key) and what to do. Commands and stages
    print it without a traceback and exit with status 1.
    """
