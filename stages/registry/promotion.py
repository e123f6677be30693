"""Decide whether a trained detector may replace the released one, and why.

Both detect on today's test split with today's `evaluate` parameters. So the comparison is paired,
whatever data the released version was scored on at its time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.common.entry import read_inputs
from yolo.errors import UserError
from yolo.params.base import View
from yolo.params.evaluate import Evaluate
from yolo.params.promotion import Promotion

if TYPE_CHECKING:
    from yolo.data.store.clean_set import CleanSet, Split
    from yolo.evaluation.analysis.comparison import Comparison
    from yolo.metrics.voc_ap import Detections

CLEAN = Path("data/clean/detection")
DETECTOR = Path("models/detector.safetensors")
_SPLIT = "test"


class Inputs(View):
    """The parameters that the decision reads."""

    promotion: Promotion
    evaluate: Evaluate


@dataclass(frozen=True)
class Decision:
    """Whether the model may be released; `reason` is one sentence with the numbers."""

    promoted: bool
    reason: str


def compare_with_released(
    released: Path | None, candidate: Path = DETECTOR, clean: Path = CLEAN, name: str = "released"
) -> Decision:
    """Compare two weights files on the test split of `clean` by the rule in `params.yaml`.

    `released`: the weights of the version `name`, or None when nothing has been released. The
    candidate passes unless it is surely worse (the whole 95 % interval of the paired difference is
    below zero) or worse by more than `promotion.largest_loss`.

    Raises:
        UserError: A weights file or the clean set cannot be read, or the test split is empty.
    """
    if released is None:
        return Decision(True, "nothing has been released yet")
    from yolo.data.store.clean_set import CleanSet
    from yolo.evaluation.analysis.comparison import compare
    from yolo.files import digest
    from yolo.metrics.inputs import read_truth
    from yolo.model.network.weights import expect_kind, read_card

    if digest(released) == digest(candidate):
        return Decision(True, f"the weights are those of {name}, byte for byte")
    inputs = read_inputs(Inputs)
    data = CleanSet(clean)
    for path in (released, candidate):
        card = read_card(path)
        expect_kind(path, card, "detector")
        classes = tuple(card["classes"])
        if classes != tuple(data.classes):
            return Decision(
                False,
                f"{path} knows the classes {', '.join(classes)}, the test split has "
                f"{', '.join(data.classes)}: no paired comparison with {name} is possible",
            )
    split = data.split(_SPLIT)
    if len(split) == 0:
        raise UserError(f"{split.path} has no image; nothing can be compared")
    before, now = (
        _detections(path, data, split, inputs.evaluate) for path in (released, candidate)
    )
    result = compare(before, now, read_truth(split), len(split), data.classes)
    return apply_rule(inputs.promotion, result, name)


def apply_rule(rule: Promotion, result: "Comparison", name: str = "released") -> Decision:
    """Apply the rule to the comparison of the released version (A) with the candidate (B)."""
    row = getattr(result, rule.metric)
    low, high = row.interval
    numbers = (
        f"{rule.metric} {row.b:.1%} against {row.a:.1%} of {name}: {100 * row.difference:+.1f} "
        f"points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    )
    if high < 0:
        return Decision(False, f"{numbers}: surely worse")
    # written so that an undefined difference does not pass
    if not row.difference >= -rule.largest_loss:
        points = 100 * rule.largest_loss
        return Decision(False, f"{numbers}: not within the {points:g} points that may be lost")
    return Decision(True, f"{numbers}: not worse")


def _detections(path: Path, data: "CleanSet", split: "Split", wanted: Evaluate) -> "Detections":
    """Detections of the weights file on the split, rounded as in the evaluation's files."""
    import torch

    from yolo.evaluation.analysis import devkit
    from yolo.metrics.inputs import to_columns
    from yolo.model.detector.detector import load_detector
    from yolo.model.detector.predict import detect_split
    from yolo.runtime import settings as runtime
    from yolo.runtime.device import pick_device

    settings = runtime.from_environment()
    torch.set_num_threads(settings.threads)
    found = detect_split(
        load_detector(path).to(pick_device(settings.device)),
        split,
        score_threshold=wanted.score_threshold,
        nms_iou=wanted.nms_iou,
        threads=settings.threads,
    )
    return devkit.rounded(to_columns(found))
