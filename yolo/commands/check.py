"""Check data sets by the rules of the stage `validate`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from yolo.commands.console import Json, names, print_json

app = typer.Typer()


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Data sets: folders or archives.")
    ],
    classes: Annotated[
        str | None, typer.Option(help="Allowed names, comma-separated; by default all found.")
    ] = None,
    splits: Annotated[
        str | None, typer.Option(help="Splits that must be there; by default those that are.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Too few examples of a class are errors, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check data sets by the rules of the stage `validate`, outside the pipeline."""
    from yolo.inspection.dataset import check as check_sets

    report = check_sets(paths, names(classes), names(splits), strict=strict)
    if as_json:
        findings = [asdict(found) for found in report.findings]
        print_json({"admitted": report.admitted, "findings": findings})
    else:
        for found in report.findings:
            place = found.file if found.object is None else f"{found.file}, object {found.object}"
            print(f"{found.severity}: {place}: {found.rule}: {found.value} ({found.action})")
        print("admitted" if report.admitted else "not admitted")
    if not report.admitted:
        raise typer.Exit(1)
