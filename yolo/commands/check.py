"""Check data sets by the rules of the stage `validate`."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolo.commands.console import Json, names, print_json

if TYPE_CHECKING:
    from yolo.inspection.dataset import Finding, Report, SetReport, Sizes

app = typer.Typer()

_SHOWN = 5
"""Findings of one rule that are listed; `--json` lists all."""
_CLASSES = 30
"""Classes that are listed; `--json` lists all."""


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Data sets: folders or archives.")
    ],
    classes: Annotated[
        str | None, typer.Option(help="Allowed names, comma-separated; by default all found.")
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(help="Published splits to check; by default those a training would use."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Too few examples of a class are errors, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what data sets are, and what the rules of the stage `validate` say of them."""
    from yolo.inspection.dataset import check as check_sets

    report = check_sets(paths, names(classes), names(splits), strict=strict)
    if as_json:
        print_json(_values(report))
    else:
        for one in report.sets:
            print("\n".join(lines(one)))
    if not report.admitted:
        raise typer.Exit(1)


def _values(report: "Report") -> dict[str, Any]:
    """Of one set its values, of several a list of them under `sets`."""
    findings = [asdict(found) for found in report.findings]
    described = [
        {
            "kind": one.kind,
            "layout": one.layout,
            "classes": list(one.classes),
            "splits": {name: asdict(size) for name, size in one.splits.items()},
        }
        for one in report.sets
    ]
    values: dict[str, Any] = {"admitted": report.admitted}
    if len(described) == 1:
        return values | described[0] | {"findings": findings}
    sets = [
        {"path": str(one.path), "admitted": one.admitted} | values
        for one, values in zip(report.sets, described, strict=True)
    ]
    return values | {"findings": findings, "sets": sets}


def lines(one: "SetReport") -> Iterator[str]:
    """The report on a set as text."""
    yield f"{one.path}: {one.kind} set, {one.layout}" if one.kind else str(one.path)
    for split, size in one.splits.items():
        objects = f", {size.objects} objects" if one.kind == "detection" else ""
        yield f"  published split {split}: {size.images} images{objects}"
    if one.kind and one.used and not one.splits:
        yield "  published splits: none"
    for split, (origin, images) in one.used.items():
        source = "" if origin == split else f" ({origin})"
        yield f"  a training would use as {split}: {images} images{source}"
    if one.classes:
        shown = [f"{name} {count}" for name, count in list(one.classes.items())[:_CLASSES]]
        more = len(one.classes) - len(shown)
        yield f"  classes: {', '.join(shown)}" + (f" and {more} more" if more else "")
    if one.widths and one.heights:
        yield f"  images: width {_pixels(one.widths)}, height {_pixels(one.heights)} pixels"
    if one.objects:
        shares = (one.objects.smallest, one.objects.median, one.objects.largest)
        low, middle, high = (f"{share:.3f}" for share in shares)
        yield f"  objects: side {low} to {high} of the image's, median {middle}"
    for note in one.notes:
        yield f"  note: {note}"
    yield from _finding_lines(one)
    if one.kind and one.admitted:
        yield "admitted; to train on it, put into params.yaml:"
        yield f"  data:\n    {one.kind}:\n      source: {one.path}"
    else:
        yield "admitted" if one.admitted else "not admitted"


def _finding_lines(one: "SetReport") -> Iterator[str]:
    """The worst first, a few of each rule."""
    by_rule: dict[tuple[int, str], list[Finding]] = defaultdict(list)
    order = ("error", "warning", "info")
    for found in one.findings:
        by_rule[order.index(found.severity), found.rule].append(found)
    for (_, rule), findings in sorted(by_rule.items(), key=lambda pair: pair[0]):
        for found in findings[:_SHOWN]:
            place = found.file if found.object is None else f"{found.file}, object {found.object}"
            yield f"{found.severity}: {place}: {rule}: {found.value} ({found.action})"
        if len(findings) > _SHOWN:
            yield (
                f"{findings[0].severity}: {rule}: {len(findings) - _SHOWN} more; "
                "`yolov1 check --json` lists all"
            )


def _pixels(sizes: "Sizes") -> str:
    return f"{sizes.smallest:.0f} to {sizes.largest:.0f} (median {sizes.median:.0f})"
