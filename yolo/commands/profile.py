"""Show where the time of a training step goes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from yolo.commands.console import Json, percent, print_json

if TYPE_CHECKING:
    from yolo.params.root import Params

app = typer.Typer()


@app.command()
def profile(
    stage: Annotated[
        Literal["detect_train", "pretrain"], typer.Argument(help="Which training.")
    ] = "detect_train",
    steps: Annotated[
        int, typer.Option(min=1, help="Steps to measure, after two warm-up steps.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Show where the time of a training step goes, and what would make it faster.

    Trains for some steps with params.yaml, the clean data and the YOLO_* settings; writes nothing.
    """
    from yolo.inspection import profile as profiling
    from yolo.params.base import parse
    from yolo.params.root import Params, check
    from yolo.runtime import settings as runtime

    settings = runtime.from_environment()
    params = parse(Params, check())
    build = _detector if stage == "detect_train" else _classifier
    task, samples, split, block = build(params)
    found = profiling.profile(
        task, samples, split, block.optimisation, settings, seed=block.seed, steps=steps
    )
    cores = runtime.usable_cores()
    bottleneck, changes = profiling.advise(found, settings, cores)
    speed = found.batch / found.step
    per_worker = 1 / found.loading.total
    if as_json:
        print_json(
            {
                "stage": stage,
                "device": found.device,
                "workers": settings.workers,
                "threads": settings.threads,
                "cores": cores,
                "steps": found.steps,
                "images_per_step": found.batch,
                "seconds_per_step": found.step,
                "images_per_second": speed,
                "loader_images_per_second_per_process": per_worker,
                "seconds": found.seconds,
                "shares": found.shares,
                "bottleneck": bottleneck,
                "changes": changes,
            }
        )
        return
    print(f"{'part':<14} {'ms a step':>10} {'%':>6}")
    for part, seconds in found.seconds.items():
        print(f"{part:<14} {seconds * 1000:>10.1f} {percent(found.shares[part]):>6}")
    print(f"{'step':<14} {found.step * 1000:>10.1f}")
    print(
        f"{speed:.1f} images/s on {found.device}, {settings.threads} threads, "
        f"{settings.workers} workers; one process loads {per_worker:.0f} images/s"
    )
    print(f"bottleneck: {bottleneck}")
    for change in changes:
        print(f"  - {change}")


def _detector(params: "Params") -> tuple[Any, Any, Any, Any]:
    from yolo.data.store.clean_set import CleanSet
    from yolo.model.detector.detector import DetectorSpec, build_detector
    from yolo.model.network.layers import set_batch_norm_images
    from yolo.training.detect_train.samples import TrainingSamples
    from yolo.training.detect_train.task import Detection

    block, model = params.detect_train, params.model
    clean = CleanSet(Path("data/clean/detection"))
    spec = DetectorSpec(
        model.network, model.width, model.input_size, model.grid, model.boxes, clean.classes
    )
    # Random weights take as long as a pre-trained backbone's.
    detector = build_detector(spec, block.seed, model.head)
    detector.freeze(block.frozen_stages)
    set_batch_norm_images(detector, block.optimisation.batch_norm_images)
    split = clean.split("train")
    samples = TrainingSamples(split, spec.input_size, block.augmentation, block.seed)
    return Detection(detector, clean, block), samples, split, block


def _classifier(params: "Params") -> tuple[Any, Any, Any, Any]:
    from yolo.data.store.clean_set import CleanSet
    from yolo.model.classifier.classifier import ClassifierSpec, build_classifier
    from yolo.model.network.layers import set_batch_norm_images
    from yolo.training.pretrain.samples import TrainingSamples
    from yolo.training.pretrain.task import Classification

    block, model = params.pretrain, params.model
    clean = CleanSet(Path("data/clean/classification"))
    spec = ClassifierSpec(model.network, model.width, block.input_size, clean.classes)
    classifier = build_classifier(spec, seed=block.seed)
    set_batch_norm_images(classifier, block.optimisation.batch_norm_images)
    split = clean.split("train")
    samples = TrainingSamples(split, block.input_size, block.augmentation, block.seed)
    return Classification(classifier, clean, block), samples, split, block
