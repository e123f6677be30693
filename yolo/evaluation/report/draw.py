"""Draw boxes on images."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
_TRUE: Colour = (255, 255, 255)
_SHADOW: Colour = (20, 20, 20)
_DASH = 6
"""Length of a dash, in line widths."""


def class_colour(label: int) -> Colour:
    """Return the colour of a class; neighbouring numbers differ by the golden angle."""
    hue = (0.58 + label * 0.6180339887) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.6, 0.95)[label % 3], 0.92)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw(
    image: NDArray[np.uint8],
    boxes: NDArray[np.floating],
    labels: Sequence[int],
    scores: Sequence[float],
    classes: Sequence[str],
    *,
    true_boxes: NDArray[np.floating] | None = None,
    true_names: Sequence[str] = (),
    scale: int = 1,
) -> Image.Image:
    """Draw predicted boxes solid with class and score, true ones dashed in white.

    image: (H, W, 3) uint8 RGB; boxes, true_boxes: (K, 4) xmin ymin xmax ymax, 1-based inclusive
    pixels. true_names: text inside each true box, may be empty. The image returned is `scale`
    times as large.
    """
    drawn = Image.fromarray(image)
    if scale > 1:
        size = (drawn.width * scale, drawn.height * scale)
        drawn = drawn.resize(size, Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(drawn)
    width = max(2, round(max(drawn.size) / 250))
    font = ImageFont.load_default(size=max(11, round(max(drawn.size) / 38)))
    if true_boxes is not None:
        for box, name in zip(true_boxes, true_names, strict=True):
            left, top, right, bottom = _edges(box, scale)
            _dashed(canvas, (left, top, right, bottom), width)
            if name:
                _tag(canvas, (left, bottom), name, _TRUE, font, drawn.size, below=False)
    # the best box last, so that nothing covers its label
    for place in reversed(range(len(boxes))):
        colour = class_colour(labels[place])
        edges = _edges(boxes[place], scale)
        canvas.rectangle(edges, outline=colour, width=width)
        text = f"{classes[labels[place]]} {scores[place]:.2f}"
        _tag(canvas, edges[:2], text, colour, font, drawn.size, below=True)
    return drawn


def _edges(box: NDArray[np.floating], scale: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom pixel of a box in the enlarged image, from 0, inclusive."""
    left, top, right, bottom = (float(corner) for corner in box)
    return (
        round((left - 1) * scale),
        round((top - 1) * scale),
        max(round(right * scale) - 1, round((left - 1) * scale)),
        max(round(bottom * scale) - 1, round((top - 1) * scale)),
    )


def _dashed(canvas: ImageDraw.ImageDraw, edges: tuple[int, int, int, int], width: int) -> None:
    left, top, right, bottom = edges
    canvas.rectangle(edges, outline=_SHADOW, width=width)
    step = _DASH * width
    for x in range(left, right, 2 * step):
        end = min(x + step, right)
        canvas.rectangle((x, top, end, top + width - 1), fill=_TRUE)
        canvas.rectangle((x, bottom - width + 1, end, bottom), fill=_TRUE)
    for y in range(top, bottom, 2 * step):
        end = min(y + step, bottom)
        canvas.rectangle((left, y, left + width - 1, end), fill=_TRUE)
        canvas.rectangle((right - width + 1, y, right, end), fill=_TRUE)


def _tag(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    colour: Colour,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    size: tuple[int, int],
    *,
    below: bool,
) -> None:
    """Draw a filled label above `corner`, or inside the box if there is no room above."""
    _, _, right, bottom = canvas.textbbox((0, 0), text, font=font)
    width, height = round(right) + 6, round(bottom) + 4
    x = min(max(corner[0], 0), max(size[0] - width, 0))
    y = corner[1] - height
    if y < 0 and below:
        y = corner[1]
    y = min(max(y, 0), max(size[1] - height, 0))
    canvas.rectangle((x, y, x + width, y + height - 1), fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    canvas.text((x + 3, y + 1), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
