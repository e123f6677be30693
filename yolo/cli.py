"""The library's command line. Heavy imports happen inside the commands, so `--help` is fast."""

import os
import sys
from typing import NoReturn

import typer

from yolo.commands import benchmark, check, convert, demo, inspect, predict, profile, score
from yolo.errors import UserError

app = typer.Typer(
    help="YOLO v1: predict, score, inspect, convert.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (predict, demo, check, score, convert, profile, benchmark):
    app.add_typer(group.app)
app.add_typer(inspect.app, name="inspect")


def run(application: typer.Typer) -> NoReturn:
    """Run a command line; print an error as one message and exit with status 1."""
    try:
        application()
    except UserError as error:
        _fail(str(error))
    except BrokenPipeError:
        # the reader of our output, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # disk full, no permission, a file in place of a folder
        names = " and ".join(str(name) for name in (error.filename, error.filename2) if name)
        _fail(f"{names}: {error.strerror}" if names else str(error))
    sys.exit(0)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    run(app)
