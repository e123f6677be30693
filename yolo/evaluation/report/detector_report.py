"""The detector's report: one self-contained HTML file, reproducible byte for byte."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from yolo.evaluation.analysis.analysis import Analysis
from yolo.evaluation.analysis.calibration import BINS
from yolo.evaluation.analysis.confusion import BACKGROUND
from yolo.evaluation.analysis.error_types import KINDS
from yolo.evaluation.report import html, plots
from yolo.evaluation.report.examples import KINDS as GALLERIES
from yolo.evaluation.report.examples import Example


@dataclass(frozen=True)
class Origin:
    """What the results were made from."""

    card: Mapping[str, Any]
    """Metadata of the weights file."""
    parameters: Mapping[str, Any]
    """Parameters of the evaluation."""
    hashes: Mapping[str, str]
    """File → SHA-256."""


def render(analysis: Analysis, examples: Sequence[Example], origin: Origin) -> str:
    """Return the page."""
    return (
        html.environment("yolo.evaluation.report")
        .get_template("detector_report.html")
        .render(
            title="Detector report",
            subtitle=_subtitle(analysis, origin.card),
            classes=analysis.classes,
            scores=analysis.scores,
            coco=analysis.coco,
            voc07_interval=analysis.voc07_map_interval,
            voc_interval=analysis.voc_map_interval,
            coco_interval=analysis.coco_map_interval,
            images=analysis.images,
            objects=len(analysis.truth.image),
            difficult=int(np.count_nonzero(analysis.truth.difficult)),
            rows=_class_rows(analysis),
            kinds=list(zip(("correct", *KINDS), (plots.GOOD, *plots.KIND_COLOURS), strict=True)),
            anatomy=_anatomy(analysis),
            fixes=_fixes(analysis),
            sizes=_sizes(analysis),
            confusion=_confusion(analysis),
            threshold=analysis.picture_threshold,
            calibration=analysis.calibration,
            reliability=plots.reliability(analysis.calibration),
            bins=_bins(analysis),
            galleries=_galleries(examples),
            facts=_facts(origin),
            hashes=sorted(origin.hashes.items()),
            card=html.rows(origin.card),
        )
    )


def _subtitle(analysis: Analysis, card: Mapping[str, Any]) -> str:
    parts = []
    if "network" in card:
        parts.append(card["network"])
    if "input_size" in card:
        parts.append(f"input of {card['input_size']} pixels")
    if "grid" in card and "boxes" in card:
        parts.append(f"S = {card['grid']}, B = {card['boxes']}")
    parts.append(", ".join(analysis.classes[:8]) + (" …" if len(analysis.classes) > 8 else ""))
    return " · ".join(parts)


def _class_rows(analysis: Analysis) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            name=name,
            ap07=result.ap07,
            ap=result.ap,
            coco=coco,
            interval=interval,
            positives=result.positives,
            detections=len(result.ranking.row),
            recall=float(result.recall[-1]) if len(result.recall) else 0.0,
            curve=plots.precision_recall(curve.recall, curve.precision, curve.best)
            if result.positives
            else "",
        )
        for name, result, coco, interval, curve in zip(
            analysis.classes,
            analysis.scores.per_class,
            analysis.coco.ap.tolist(),
            analysis.ap07_intervals,
            analysis.curves,
            strict=True,
        )
    ]


def _anatomy(analysis: Analysis) -> str:
    """Plot the error types per class, first their mean over classes as in the paper."""
    names, shares = [], []
    for name, own in zip(analysis.classes, analysis.anatomies, strict=True):
        if own.considered:
            names.append(name)
            counts = [own.correct, *(own.false[kind] for kind in KINDS)]
            shares.append([count / own.considered for count in counts])
    if not shares:
        return "<p>No detections.</p>"
    mean = np.mean(shares, axis=0).tolist()
    return plots.anatomy_bars(["all classes", *names], [mean, *shares], KINDS)


def _fixes(analysis: Analysis) -> list[SimpleNamespace]:
    now = analysis.scores
    return [
        SimpleNamespace(
            name=name,
            voc07_map=scores.voc07_map,
            voc_map=scores.voc_map,
            voc07_gain=scores.voc07_map - now.voc07_map,
            voc_gain=scores.voc_map - now.voc_map,
        )
        for name, scores in analysis.fixed.items()
    ]


def _confusion(analysis: Analysis) -> list[SimpleNamespace]:
    """A row per class and one for background; the cells are in the same order."""
    matrix = analysis.confusion.matrix(len(analysis.classes))
    names = (*analysis.classes, BACKGROUND)
    totals = np.maximum(matrix.sum(axis=1), 1)
    return [
        SimpleNamespace(
            name=name,
            cells=[
                SimpleNamespace(count=int(count), share=float(count / total), right=row == column)
                for column, count in enumerate(counts)
            ],
        )
        for row, (name, counts, total) in enumerate(zip(names, matrix, totals, strict=True))
    ]


def _sizes(analysis: Analysis) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            size=row.label,
            objects=row.objects,
            found=row.found / row.objects if row.objects else float("nan"),
            shown=row.shown / row.objects if row.objects else float("nan"),
        )
        for row in analysis.sizes
    ]


def _bins(analysis: Analysis) -> list[SimpleNamespace]:
    own = analysis.calibration
    return [
        SimpleNamespace(
            name=f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}",
            count=int(own.count[place]),
            score=own.score[place],
            precision=own.precision[place],
        )
        for place in range(BINS)
    ]


def _galleries(examples: Sequence[Example]) -> list[SimpleNamespace]:
    if not examples:
        return []
    return [
        SimpleNamespace(
            title=title,
            note=note,
            images=[
                {
                    "name": own.name,
                    "caption": own.caption,
                    "width": own.width,
                    "height": own.height,
                    "data": own.base64,
                }
                for own in examples
                if own.kind == kind
            ],
        )
        for kind, (title, note) in GALLERIES.items()
    ]


def _facts(origin: Origin) -> list[tuple[str, str]]:
    known = (
        ("network", "network"),
        ("width", "width"),
        ("input_size", "input size"),
        ("grid", "grid (S)"),
        ("boxes", "boxes per cell (B)"),
        ("classes", "classes"),
    )
    facts = [(name, html.plain(origin.card[key])) for key, name in known if key in origin.card]
    return facts + [
        (f"evaluate.{key}", html.plain(value)) for key, value in sorted(origin.parameters.items())
    ]
