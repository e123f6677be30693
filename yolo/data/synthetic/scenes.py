"""Compose images of the synthetic sets: where shapes lie, and what is true of each."""

from dataclasses import dataclass, replace

import numpy as np

from yolo.data.synthetic import shapes
from yolo.data.synthetic.recipes import DetectionRecipe, Picture
from yolo.data.synthetic.shapes import Pose

_ATTEMPTS = 40
# Centres never share a cell of this grid: YOLO v1 could represent only one of them.
_CELLS = 8
# A pixel is a shape's when the shape covers more than this share of it.
_OWN = 0.5
_MIN_VISIBLE = 0.35
_DIFFICULT_VISIBLE = 0.5
_TINY_SHARE = 0.05
_TINY_SCALES = (0.06, 0.09)
_MAX_OUTSIDE = 0.3
_TRUNCATED_OUTSIDE = 0.05


@dataclass(frozen=True)
class Item:
    """One annotated shape; box: xmin, ymin, xmax, ymax of its visible part, 1-based inclusive."""

    label: str
    box: tuple[int, int, int, int]
    truncated: bool
    difficult: bool


def single(recipe: Picture, shape: str, rng: np.random.Generator) -> np.ndarray:
    """An image of one shape, uint8 RGB (H, W, 3)."""
    width, height = recipe.size(rng)
    image = shapes.background(width, height, rng)
    scale = rng.uniform(recipe.min_scale, recipe.max_scale)
    pose = _pose(width, height, scale, _MAX_OUTSIDE / 3, rng)
    shapes.paint(image, shapes.coverage(shapes.place(shape, pose), width, height), rng)
    return shapes.finish(image, rng)


def scene(recipe: DetectionRecipe, rng: np.random.Generator) -> tuple[np.ndarray, list[Item]]:
    """An image of several shapes, uint8 RGB (H, W, 3), and what is in it."""
    width, height = recipe.size(rng)
    image = shapes.background(width, height, rng)
    # few shapes are more common than many, as in VOC
    weights = 1 / np.arange(1, recipe.max_objects + 1)
    wanted = 1 + rng.choice(recipe.max_objects, p=weights / weights.sum())
    placed: list[_Placed] = []
    for _ in range(_ATTEMPTS):
        if len(placed) == wanted:
            break
        added = _try_to_add(placed, recipe, width, height, rng)
        if added is not None:
            placed = added
    for shape in placed:
        shapes.paint(image, shape.alpha, rng)
    return shapes.finish(image, rng), [shape.item for shape in placed]


@dataclass(frozen=True)
class _Placed:
    label: str
    alpha: np.ndarray
    """Coverage of each pixel, (H, W) 0..1."""
    visible: np.ndarray
    """(H, W) bool: covered by more than half, and by no later shape so."""
    outside: float
    """Share of its extent beyond the border."""
    tiny: bool

    def under(self, alpha: np.ndarray) -> "_Placed":
        """What is left of it when another shape covers it."""
        return replace(self, visible=self.visible & (alpha <= _OWN))

    @property
    def share(self) -> float:
        return float(self.visible.sum() / (self.alpha > _OWN).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """1-based inclusive pixels: column number 0 is 1."""
        rows = np.flatnonzero(self.visible.any(axis=1))
        columns = np.flatnonzero(self.visible.any(axis=0))
        return int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1

    @property
    def item(self) -> Item:
        difficult = self.tiny or self.share < _DIFFICULT_VISIBLE
        return Item(self.label, self.box, self.outside > _TRUNCATED_OUTSIDE, difficult)


def _try_to_add(
    placed: list[_Placed],
    recipe: DetectionRecipe,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> list[_Placed] | None:
    """Put one shape on top; None when it would hide another one or share its grid cell."""
    label = str(rng.choice(recipe.classes))
    tiny = rng.random() < _TINY_SHARE
    limits = _TINY_SCALES if tiny else (recipe.min_scale, recipe.max_scale)
    # small shapes are more common than large ones
    scale = np.exp(rng.uniform(*np.log(limits)))
    pose = _pose(width, height, scale, _MAX_OUTSIDE, rng)
    outlines = shapes.place(label, pose)
    alpha = shapes.coverage(outlines, width, height)
    visible = alpha > _OWN
    if not visible.any():
        return None
    outside = _outside(np.concatenate(outlines), width, height)
    new = _Placed(label, alpha, visible, outside, tiny)
    covered = [old.under(alpha) for old in placed]
    if any(old.share < _MIN_VISIBLE for old in covered):
        return None
    every = [*covered, new]
    cells = {_cell(shape.box, width, height) for shape in every}
    return every if len(cells) == len(every) else None


def _pose(width: int, height: int, scale: float, outside: float, rng: np.random.Generator) -> Pose:
    """Draw a pose of which at most the share `outside` lies beyond each border."""
    side = scale * min(width, height)
    aspect = np.exp(rng.uniform(-0.3, 0.3))
    w, h = side * min(1.0, aspect), side * min(1.0, 1 / aspect)
    x_margin, y_margin = (0.5 - outside) * w, (0.5 - outside) * h
    x = rng.uniform(x_margin, width - x_margin)
    y = rng.uniform(y_margin, height - y_margin)
    return Pose(x, y, w, h, rng.uniform(-30, 30))


def _outside(points: np.ndarray, width: int, height: int) -> float:
    """Share of the bounding box of `points` (n, 2) beyond the image."""
    low, high = points.min(axis=0), points.max(axis=0)
    inside = np.clip(high, 0, (width, height)) - np.clip(low, 0, (width, height))
    return float(1 - np.prod(inside / (high - low)))


def _cell(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int]:
    xmin, ymin, xmax, ymax = box
    x, y = (xmin - 1 + xmax) / 2 / width, (ymin - 1 + ymax) / 2 / height
    return int(x * _CELLS), int(y * _CELLS)
