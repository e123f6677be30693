"""The library's command line; imports happen inside the commands: `--help` answers at once."""

import sys
from typing import NoReturn

import typer

from yolo.commands import check, convert, demo, inspect, predict, profile, score
from yolo.errors import UserError

app = typer.Typer(
    help="YOLO v1: predict, score, inspect, convert.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (predict, demo, check, score, convert, profile):
    app.add_typer(group.app)
app.add_typer(inspect.app, name="inspect")


def run(application: typer.Typer) -> NoReturn:
    """Run a command line; print a `UserError` as one message and exit with status 1."""
    try:
        application()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    run(app)
