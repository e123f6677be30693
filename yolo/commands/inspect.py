"""Images and tables to look at before a training."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from yolo.commands.console import Json, print_json
from yolo.errors import UserError

if TYPE_CHECKING:
    from yolo.params.root import Params

app = typer.Typer(
    no_args_is_help=True, help="Show targets, augmentation, rates, layers; memorise images."
)

Data = Annotated[Path, typer.Option(help="A clean detection set, written by `validate`.")]
SplitName = Annotated[str, typer.Option(help="Split of the set: train, val, test.")]
Count = Annotated[int, typer.Option(min=1, help="Number of images.")]
First = Annotated[int, typer.Option(min=0, help="Number of the first image.")]
Grid = Annotated[int | None, typer.Option(min=1, help="S; by default model.grid.")]
Size = Annotated[
    int | None, typer.Option(min=32, help="Side of the input in pixels; default: model.input_size.")
]
NetworkName = Annotated[
    str | None, typer.Option(help="Name of the network; by default model.network.")
]
Width = Annotated[
    float | None, typer.Option(min=0.01, help="Factor on the channels; default: model.width.")
]
Kind = Literal["paper", "convolutional", "pyramid"]
Head = Annotated[
    Kind | None,
    typer.Option(help="Layers trained on boxes only; by default model.head, or the network's own."),
]
CLEAN = Path("data/clean/detection")


@app.command()
def targets(
    data: Data = CLEAN,
    split: SplitName = "train",
    count: Count = 8,
    first: First = 0,
    grid: Grid = None,
    size: Size = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("inspect/targets.png"),
) -> None:
    """Draw the grid, the responsible cells and the boxes of some images.

    Grey boxes are not targets: another object took their cell, or they are too small.
    """
    from yolo.data.store.clean_set import CleanSet
    from yolo.inspection.target_images import sheet, target_images

    params = _params()
    clean = CleanSet(data)
    records = clean.split(split)
    images = list(
        target_images(
            records,
            _range(len(records), first, count),
            size=size or params.model.input_size,
            grid=grid or params.model.grid,
            classes=clean.classes,
        )
    )
    _save(sheet(images, columns=min(4, len(images))), out)


@app.command()
def augment(
    data: Data = CLEAN,
    split: SplitName = "train",
    count: Count = 4,
    first: First = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to draw of each image.")] = 4,
    grid: Grid = None,
    size: Size = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("inspect/augment.png"),
) -> None:
    """Draw images as training sees them: a row per image, a column per epoch."""
    from yolo.data.store.clean_set import CleanSet
    from yolo.inspection.target_images import augmented_images, sheet

    params = _params()
    clean = CleanSet(data)
    records = clean.split(split)
    images = list(
        augmented_images(
            records,
            _range(len(records), first, count),
            size=size or params.model.input_size,
            grid=grid or params.model.grid,
            classes=clean.classes,
            augmentation=params.detect_train.augmentation,
            seed=params.detect_train.seed,
            epochs=epochs,
        )
    )
    _save(sheet(images, columns=epochs), out)


@app.command()
def schedule(
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("inspect/schedule.png"),
    as_json: Json = False,
) -> None:
    """Print where the learning rate of both trainings changes, and draw its curve."""
    from yolo.inspection.learning_rate import draw_rates, landmarks, peak

    params = _params()
    trainings = {
        "pretrain": params.pretrain.optimisation,
        "detect_train": params.detect_train.optimisation,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_rates(trainings, out)
    if as_json:
        print_json(
            {
                name: {
                    "peak": peak(optimisation),
                    "rates": [{"batch": b, "rate": r} for b, r in landmarks(optimisation)],
                }
                for name, optimisation in trainings.items()
            }
        )
        return
    for name, optimisation in trainings.items():
        print(f"{name}: {optimisation.schedule.policy}, peak {peak(optimisation):g}")
        for batch, value in landmarks(optimisation):
            print(f"  update {batch:>8}  {value:.6g}")
    print(f"image: {out}")


@app.command()
def model(
    network: NetworkName = None,
    width: Width = None,
    head: Head = None,
    size: Size = None,
    grid: Grid = None,
    boxes: Annotated[int | None, typer.Option(min=1, help="B; by default model.boxes.")] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 20,
    classifier: Annotated[
        bool, typer.Option("--classifier", help="The classifier of pre-training instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the layers of a network with output shapes, parameters and operations (FLOPs)."""
    import torch

    from yolo.inspection.layer_table import layer_table
    from yolo.model.classifier.classifier import ClassifierSpec, build_classifier
    from yolo.model.detector.detector import build_detector
    from yolo.model.network.networks import TORCHVISION

    names = tuple(f"class {number}" for number in range(classes))
    params = _optional_params()
    chosen = _spec(params, network, width, size, grid, boxes, names)
    # torchvision's models are run to be measured; ours need no weights
    with torch.device("cpu" if chosen.network in TORCHVISION else "meta"):
        if classifier:
            built = build_classifier(
                ClassifierSpec(chosen.network, chosen.width, chosen.input_size, names)
            )
        else:
            built = build_detector(chosen, head=_head(params, chosen.network, head))
    table = layer_table(built, chosen.input_size)
    parameters = sum(row.parameters for row in table)
    flops = sum(row.flops for row in table)
    if as_json:
        layers = [asdict(row) for row in table]
        print_json({"layers": layers, "parameters": parameters, "flops": flops})
        return
    wide = max(len(row.kind) for row in table)
    print(f"{'layer':<22} {'':<{wide}} {'output':>16} {'parameters':>13} {'MFLOPs':>11}")
    for row in table:
        shape = " x ".join(map(str, row.output))
        print(
            f"{row.name:<22} {row.kind:<{wide}} {shape:>16} {row.parameters:>13,}"
            f" {row.flops / 1e6:>11,.1f}"
        )
    print(f"{'total':<22} {'':<{wide}} {'':>16} {parameters:>13,} {flops / 1e6:>11,.1f}")


@app.command()
def overfit(
    data: Data = CLEAN,
    split: SplitName = "train",
    count: Count = 8,
    network: NetworkName = None,
    width: Width = None,
    head: Head = None,
    size: Size = None,
    grid: Grid = None,
    boxes: Annotated[int | None, typer.Option(min=1, help="B; by default model.boxes.")] = None,
    batches: Annotated[int, typer.Option(min=1, help="Most updates.")] = 1500,
    learning_rate: Annotated[float, typer.Option(min=0, help="Rate after the warm-up.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial weights.")] = 0,
) -> None:
    """Let a detector memorise a few images: a correct model reaches mAP 1.

    The images are the first of the split whose objects fall in distinct cells. Exit status 1
    when the mAP stays below 1.
    """
    import torch

    from yolo.data.store.clean_set import CleanSet
    from yolo.inspection import overfit as memorise
    from yolo.model.detector.detector import build_detector
    from yolo.runtime.device import pick_device
    from yolo.runtime.settings import from_environment

    params = _params()
    clean = CleanSet(data)
    records = clean.split(split)
    spec = _spec(params, network, width, size, grid, boxes, clean.classes)
    chosen = memorise.choose(records, count, spec.grid)
    print("images: " + ", ".join(records.name(index) for index in chosen))
    runtime = from_environment()
    torch.set_num_threads(runtime.threads)
    kind = _head(params, spec.network, head)
    detector = build_detector(spec, seed, kind).to(pick_device(runtime.device))

    def report(batch: int, loss: float, found: float) -> None:
        print(f"update {batch:>5}  loss {loss:.4f}  VOC07 mAP {100 * found:.1f} %", flush=True)

    found = memorise.overfit(
        detector,
        records,
        chosen,
        loss=params.detect_train.loss,
        batches=batches,
        learning_rate=learning_rate,
        report=report,
    )
    if found < 1:
        print(f"not memorised within {batches} updates")
        raise typer.Exit(1)
    print("memorised")


@app.command()
def batch(
    file: Annotated[Path, typer.Argument(help="not_finite.pt of a training that stopped.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("inspect/batch.png"),
    as_json: Json = False,
) -> None:
    """Show the batch at which a training stopped because a value was not finite.

    Prints the loss terms and the weights before the batch that are not finite or the largest, and
    draws the images with their boxes.
    """
    from yolo.inspection.failed_batch import image_sheet, summary
    from yolo.training.monitoring.failed_batch import load

    replay = load(file)
    found = summary(replay)
    if as_json:
        print_json(found)
        return
    print(f"batch {replay.update}")
    for name, value in found["terms"].items():
        print(f"  {name:<14} {value}")
    print(f"{'image':<40} {'boxes':>5} {'least':>6} {'most':>6}  colour")
    for row in found["images"]:
        colour = " ".join(f"{value:.3f}" for value in row["colour"])
        print(f"{row['name']:<40} {row['boxes']:>5} {row['least']:>6} {row['most']:>6}  {colour}")
    print("weights before it: not finite in " + (", ".join(found["not_finite"]) or "none"))
    for row in found["largest"]:
        print(f"  {row['name']:<40} {row['magnitude']:.4g}")
    _save(image_sheet(replay), out)


def _params() -> "Params":
    from yolo.params.base import parse, read_document
    from yolo.params.root import Params

    return parse(Params, read_document())


def _optional_params() -> "Params | None":
    from yolo.params.base import PARAMS_FILE

    return _params() if PARAMS_FILE.exists() else None


def _spec(
    params: "Params | None",
    network: str | None,
    width: float | None,
    size: int | None,
    grid: int | None,
    boxes: int | None,
    classes: tuple[str, ...],
) -> Any:
    """The detector that the options describe; params.yaml fills in what they omit."""
    from yolo.model.detector.detector import DetectorSpec

    if params is None and network is None:
        raise UserError("there is no params.yaml here: name the network with --network")
    if params is None or (network is not None and network != params.model.network):
        # another network: the paper's input size and grid, not those in params.yaml
        return DetectorSpec(str(network), width or 1.0, size or 448, grid or 7, boxes or 2, classes)
    own = params.model
    return DetectorSpec(
        own.network,
        width or own.width,
        size or own.input_size,
        grid or own.grid,
        boxes or own.boxes,
        classes,
    )


def _head(params: "Params | None", network: str, asked: Kind | None) -> Kind | None:
    """The head asked for; else that of params.yaml for its network; None: the network's own."""
    if asked is None and params is not None and params.model.network == network:
        return params.model.head
    return asked


def _range(length: int, first: int, count: int) -> range:
    if first >= length:
        raise UserError(f"--first is {first}; the split has images 0 to {length - 1}")
    return range(first, min(first + count, length))


def _save(image: Any, out: Path) -> None:
    from yolo.files import replacing

    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        image.save(temporary, format="PNG")
    print(f"image: {out}")
