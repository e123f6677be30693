"""Draw training targets: the grid, the responsible cells, the boxes."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from yolo.data.loading import augment
from yolo.data.store import images
from yolo.data.store.clean_set import Split
from yolo.detection.targets import encode
from yolo.evaluation.report.draw import class_colour
from yolo.model.detector.predict import resize
from yolo.params.detect_train import DetectorAugmentation
from yolo.training.detect_train import augment_boxes
from yolo.training.detect_train.samples import TrainingSamples

_LINE = (255, 255, 255, 90)
_LOST = (160, 160, 160)


def target_images(
    split: Split, indices: Sequence[int], *, size: int, grid: int, classes: Sequence[str]
) -> Iterator[Image.Image]:
    """Yield each image of `indices` as the network sees it, with its targets drawn."""
    for index in indices:
        image = resize(images.decode(split.image(index), split.name(index)), size)
        yield draw_targets(image, labelled_boxes(split, index), grid=grid, classes=classes)


def augmented_images(
    split: Split,
    indices: Sequence[int],
    *,
    size: int,
    grid: int,
    classes: Sequence[str],
    augmentation: DetectorAugmentation,
    seed: int,
    epochs: int,
) -> Iterator[Image.Image]:
    """Yield each image of `indices` as training draws it in each of the first `epochs`."""
    samples = TrainingSamples(split, size, augmentation, seed)
    for index in indices:
        for epoch in range(epochs):
            sample = samples[epoch, index]
            pixels = torch.from_numpy(sample.image)[None]
            coloured = augment.recolour(pixels, torch.tensor([sample.colour]))[0]
            image = (coloured.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            yield draw_targets(image, sample.boxes, grid=grid, classes=classes)


def labelled_boxes(split: Split, index: int) -> NDArray[np.float32]:
    """(n, 5) class, cx, cy, w, h relative to the image, without difficult objects."""
    boxes = augment_boxes.from_voc(split.boxes(index), split.labels(index), *split.size(index))
    return boxes[~split.difficult(index)]


def draw_targets(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], *, grid: int, classes: Sequence[str]
) -> Image.Image:
    """Draw the grid, the cells that are responsible for an object, and the boxes.

    A cell, its object's box and the dot at the box's centre have the colour of the class. A box is
    grey when it is not a target: another object took its cell, or it is too small.

    Args:
        image: (side, side, 3) uint8 RGB.
        boxes: (n, 5) class, cx, cy, w, h relative to the image.
        grid: S.
        classes: names of the classes.
    """
    side = image.shape[0]
    truth = encode(torch.from_numpy(boxes), grid=grid, classes=len(classes)).numpy()
    drawn = Image.fromarray(image).convert("RGB")
    canvas = ImageDraw.Draw(drawn, "RGBA")
    edges = [round(line * side / grid) for line in range(grid + 1)]
    for row, column in np.argwhere(truth[..., 0] > 0):
        colour = class_colour(int(truth[row, column, 1:-4].argmax()))
        area = (edges[column], edges[row], edges[column + 1] - 1, edges[row + 1] - 1)
        canvas.rectangle(area, fill=(*colour, 110))
    for edge in edges[1:-1]:
        canvas.line((edge, 0, edge, side), fill=_LINE)
        canvas.line((0, edge, side, edge), fill=_LINE)
    width = max(2, side // 200)
    font = ImageFont.load_default(size=max(10, side // 32))
    for box in boxes:
        label, centre, size = int(box[0]), box[1:3] * side, box[3:5] * side
        target = _is_target(box, truth)
        colour = class_colour(label) if target else _LOST
        (left, top), (right, bottom) = centre - size / 2, centre + size / 2
        canvas.rectangle((left, top, right, bottom), outline=colour, width=width)
        x, y = centre
        canvas.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=colour)
        name = classes[label] if target else f"{classes[label]}: not a target"
        canvas.text(
            (left + width + 2, top + width), name, fill=colour, font=font, stroke_width=2,
            stroke_fill=(0, 0, 0),
        )  # fmt: skip
    return drawn


def sheet(drawn: Sequence[Image.Image], columns: int, gap: int = 6) -> Image.Image:
    """Put images of one size side by side, `columns` in a row."""
    width, height = drawn[0].size
    rows = -(-len(drawn) // columns)
    whole = Image.new(
        "RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), (30, 30, 30)
    )
    for number, image in enumerate(drawn):
        row, column = divmod(number, columns)
        whole.paste(image, (gap + column * (width + gap), gap + row * (height + gap)))
    return whole


def _is_target(box: NDArray[np.float32], truth: NDArray[np.float32]) -> bool:
    grid = truth.shape[0]
    column, row = (min(int(centre * grid), grid - 1) for centre in box[1:3])
    cell = truth[row, column]
    return bool(cell[0] > 0 and cell[1 + int(box[0])] > 0 and np.array_equal(cell[-2:], box[3:5]))
