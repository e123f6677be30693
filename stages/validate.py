"""Stage `validate`: admit the records of one set that keep its contract.

`python -m stages.validate classification|detection`
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from yolo.data.archives import reader
from yolo.data.archives.reader import Archives
from yolo.data.validate import expectations, probe
from yolo.data.validate.filtering import write_rejected
from yolo.data.validate.messages import refusal, warnings
from yolo.data.validate.overview_page import write_page
from yolo.data.validate.rules import Rule, Table
from yolo.data.validate.validation import Assessment, Broken, Contract, assess
from yolo.data.validate.write_clean import counts, write_store
from yolo.errors import UserError
from yolo.files import replacing_folder, write_json
from yolo.params.base import View
from yolo.params.data import Classes, ClassificationSplits, DetectionSplits, Shares, Side
from yolo.params.limits import Limits
from yolo.params.model import Grid
from yolo.params.validate import ClassificationRules, DetectionRules
from yolo.runtime.settings import from_environment
from yolo.runtime.workers import Workers


class Classification(View):
    """What `validate@classification` reads."""

    classes: Classes = Field(validation_alias=AliasPath("data", "classification", "classes"))
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
    key = arguments[0]
    inputs: Classification | Detection = read_inputs(INPUTS[key])
    raw, reports = Path("data") / "raw" / key, Path("reports") / "validate" / key
    outcomes: list[tuple[str, expectations.Outcome]] = []

    def engine(
        title: str,
        rules: Sequence[Rule],
        tables: Mapping[str, Table],
        policies: Mapping[str, str],
    ) -> Broken:
        outcome = expectations.run(rules, tables, policies)
        outcomes.append((title, outcome))
        return outcome.broken

    splits = list(inputs.splits.model_dump())
    runtime = from_environment()
    workers = Workers(runtime.workers or runtime.threads, runtime.dask_scheduler)
    limits = reader.Limits(**inputs.limits.archive.model_dump())
    with Archives(raw, limits) as files:
        # Its import takes seconds, which pass while other processes decode the pictures; before,
        # it would only hold the index up.
        Thread(target=expectations.load, daemon=True).start()
        assessment = assess(files, contract_of(key, inputs), engine, f"validate {key}", workers)
        with replacing_folder(reports / "data_docs") as folder:
            expectations.write_data_docs(folder, outcomes)
        write_rejected(reports / "rejected.csv", assessment.admission.findings)
        write_page(reports / "index.html", f"The {key} set, validated", files, assessment)
        write_json(reports / "metrics.json", counts(assessment, splits))
        if assessment.failures:
            raise UserError(refusal(key, assessment, reports))
        if not assessment.classes:
            raise UserError(f"{key}: no annotation has an object: there is nothing to learn")
        with replacing_folder(Path("data") / "clean" / key) as folder:
            write_store(folder, files, assessment, splits, inputs.shorter_side, workers)
    summarise(key, assessment, splits)


def contract_of(key: str, inputs: Classification | Detection) -> Contract:
    """The parameters as the library takes them."""
    shares = inputs.shares
    return Contract(
        detection=key == "detection",
        classes=inputs.classes,
        splits=inputs.splits.model_dump(),
        shares={"val": shares.val, "test": shares.test},
        seed=shares.seed,
        min_images=inputs.contract.min_images,
        max_rejected=inputs.contract.max_rejected,
        policies=inputs.contract.rules.model_dump(),
        near_duplicate_bits=inputs.contract.near_duplicate_bits,
        limits=probe.Limits(inputs.limits.picture_pixels, inputs.limits.annotation_bytes),
        grid=inputs.grid if isinstance(inputs, Detection) else 1,
    )


def summarise(key: str, assessment: Assessment, splits: Sequence[str]) -> None:
    """Say in a few lines what was admitted and what broke a rule."""
    sizes = ", ".join(
        f"{split} {assessment.images['split'].count(split)} ({assessment.origin[split]})"
        for split in splits
    )
    print(f"{key}: {len(assessment.classes)} classes; pictures admitted: {sizes}")
    for count, what in (
        (len(assessment.unlisted), "pictures are in none of these splits"),
        (len(assessment.ignored), "files are no pictures by their names"),
    ):
        if count:
            print(f"  {count} {what}: ignored")
    for line in warnings(assessment):
        print(line)


if __name__ == "__main__":
    run(main)
