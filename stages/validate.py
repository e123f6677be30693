"""Stage `validate`: admit the records of one set that keep its contract.

`python -m stages.validate classification|detection`
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from yolo.data.archives import reader
from yolo.data.archives.reader import Archives
from yolo.data.formats import index
from yolo.data.formats.index import Kind
from yolo.data.formats.layouts import read_index_of
from yolo.data.store.clean_set import write_classes
from yolo.data.validate import expectations
from yolo.data.validate.filtering import write_rejected
from yolo.data.validate.messages import refusal, warnings
from yolo.data.validate.overview_page import write_page
from yolo.data.validate.validation import Contract, ValidationResult, validate
from yolo.data.validate.write_clean import admitted, counts, write_store
from yolo.errors import UserError
from yolo.files import replacing, replacing_folder, write_json, write_metrics
from yolo.params.base import View
from yolo.params.data import (
    Classes,
    ClassificationSplits,
    DetectionSplits,
    Rename,
    Shares,
    Side,
)
from yolo.params.limits import Limits
from yolo.params.model import Grid
from yolo.params.validate import ClassificationRules, DetectionRules
from yolo.runtime.settings import from_environment
from yolo.runtime.workers import Workers

SUMS = "checksums.json"


class Classification(View):
    """What `validate@classification` reads."""

    classes: Classes = Field(validation_alias=AliasPath("data", "classification", "classes"))
    rename: Rename = Field(validation_alias=AliasPath("data", "classification", "rename"))
    splits: ClassificationSplits = Field(
        validation_alias=AliasPath("data", "classification", "splits")
    )
    shares: Shares = Field(validation_alias=AliasPath("data", "classification", "shares"))
    shorter_side: Side = Field(validation_alias=AliasPath("data", "classification", "shorter_side"))
    limits: Limits
    contract: ClassificationRules = Field(validation_alias=AliasPath("validate", "classification"))


class Detection(View):
    """What `validate@detection` reads."""

    classes: Classes = Field(validation_alias=AliasPath("data", "detection", "classes"))
    rename: Rename = Field(validation_alias=AliasPath("data", "detection", "rename"))
    splits: DetectionSplits = Field(validation_alias=AliasPath("data", "detection", "splits"))
    shares: Shares = Field(validation_alias=AliasPath("data", "detection", "shares"))
    shorter_side: Side = Field(validation_alias=AliasPath("data", "detection", "shorter_side"))
    grid: Grid = Field(validation_alias=AliasPath("model", "grid"))
    limits: Limits
    contract: DetectionRules = Field(validation_alias=AliasPath("validate", "detection"))


INPUTS = {"classification": Classification, "detection": Detection}


def main() -> None:
    """Judge the set that the command line names; write the clean store if it is admitted."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0] not in INPUTS:
        raise UserError("usage: python -m stages.validate " + "|".join(INPUTS))
    key: Kind = "classification" if arguments[0] == "classification" else "detection"
    inputs: Classification | Detection = read_inputs(INPUTS[key])
    raw, reports = Path("data") / "raw" / key, Path("reports") / "validate" / key
    if is_empty(raw):
        write_empty(key, reports)
        return
    splits = list(inputs.splits.model_dump())
    runtime = from_environment()
    workers = Workers(runtime.workers or runtime.threads, runtime.dask_scheduler)
    limits = reader.Limits(**inputs.limits.archive.model_dump())
    with Archives(raw, limits) as files:
        # Its import takes seconds, which pass while other processes decode the images; before,
        # it would only hold the index up.
        Thread(target=expectations.load, daemon=True).start()
        contract = contract_of(inputs)
        found = read_index_of(key, files, contract.limits)
        result = validate(files, found, contract, expectations.run, f"validate {key}", workers)
        with replacing_folder(reports / "data_docs") as folder:
            expectations.write_data_docs(folder, result.outcomes)
        write_rejected(reports / "rejected.csv", result.filtered.findings)
        write_page(reports / "index.html", f"The {key} set, validated", files, result)
        write_json(reports / "details.json", counts(result, splits))
        write_metrics(reports.with_suffix(".json"), admitted(result, splits))
        if result.failures:
            raise UserError(refusal(key, result, reports))
        if not result.classes:
            raise UserError(f"{key}: no annotation has an object: there is nothing to learn")
        with replacing_folder(Path("data") / "clean" / key) as folder:
            write_store(folder, files, result, splits, inputs.shorter_side, workers)
    summarise(key, result, splits)


def is_empty(raw: Path) -> bool:
    """Whether the source was `sources/none.yaml`: nothing was downloaded on purpose."""
    sums = raw / SUMS
    return sums.is_file() and json.loads(sums.read_bytes()) == {}


def write_empty(key: str, reports: Path) -> None:
    """Write the stage's files for no set at all."""
    with replacing_folder(reports / "data_docs") as folder:
        expectations.write_data_docs(folder, [])
    write_rejected(reports / "rejected.csv", [])
    with replacing(reports / "index.html") as temporary:
        temporary.write_text(f"<!doctype html><title>{key}</title><p>There is no {key} set.\n")
    write_json(reports / "details.json", {})
    write_metrics(reports.with_suffix(".json"), {"images": 0})
    with replacing_folder(Path("data") / "clean" / key) as folder:
        write_classes(folder, ())
    print(f"{key}: no set (data.{key}.source); `pretrain` needs ready weights")


def contract_of(inputs: Classification | Detection) -> Contract:
    """The parameters as the library takes them."""
    shares = inputs.shares
    return Contract(
        classes=inputs.classes,
        splits=inputs.splits.model_dump(),
        shares={"val": shares.val, "test": shares.test},
        seed=shares.seed,
        min_images=inputs.contract.min_images,
        max_rejected=inputs.contract.max_rejected,
        policies=inputs.contract.rules.model_dump(),
        near_duplicate_bits=inputs.contract.near_duplicate_bits,
        limits=index.Limits(**inputs.limits.model_dump(exclude={"archive"})),
        grid=inputs.grid if isinstance(inputs, Detection) else 1,
        rename=inputs.rename,
    )


def summarise(key: str, result: ValidationResult, splits: Sequence[str]) -> None:
    """Say in a few lines what was admitted and what broke a rule."""
    sizes = ", ".join(
        f"{split} {result.images['split'].count(split)} ({result.origin[split]})"
        for split in splits
    )
    print(f"{key}: {result.index.layout}, {len(result.classes)} classes; images admitted: {sizes}")
    if result.drawn:
        drawn = " and ".join(result.drawn)
        print(
            f"  the set has no split for {drawn}: drawn from its training images "
            f"(data.{key}.shares)"
        )
    without = sum(not record.annotated for record in result.unlisted) if key == "detection" else 0
    for count, what in (
        (without, "images have no annotation: left out"),
        (len(result.unlisted) - without, "images are in none of these splits: ignored"),
        (len(result.index.ignored), "files are no images by their names: ignored"),
    ):
        if count:
            print(f"  {count} {what}")
    for line in (*(f"  {note}" for note in result.index.notes), *warnings(result)):
        print(line)


if __name__ == "__main__":
    run(main)
