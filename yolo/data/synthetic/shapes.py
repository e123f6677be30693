"""Draw textured shapes on cluttered backgrounds: the images of the synthetic sets.

Images are float32 RGB, 0..255; coordinates are pixels with (0, 0) the outer corner of the image.
"""

from dataclasses import dataclass

import cv2
import numpy as np

Points = np.ndarray
Image = np.ndarray

_OVERSAMPLING = 4
_SUBPIXEL_BITS = 4


def _arc(radius: float, start: float, end: float, centre: float = 0.0) -> Points:
    """Points of a circle around (centre, 0) between two angles in degrees."""
    angles = np.radians(np.linspace(start, end, 48))
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _star() -> Points:
    angles = np.radians(-90 + 36 * np.arange(10))
    radii = np.where(np.arange(10) % 2, 0.45, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _cross(arm: float = 0.32) -> Points:
    right = np.array([(1, -arm), (1, arm), (arm, arm)])
    quarter_turn = np.array([(0, 1), (-1, 0)])
    turns = [np.linalg.matrix_power(quarter_turn, n) for n in range(4)]
    return np.concatenate([right @ turn for turn in turns])


# Closed outlines of each shape, filled by the even-odd rule: a second outline is a hole.
_OUTLINES: dict[str, list[Points]] = {
    "circle": [_arc(1, 0, 360)],
    "crescent": [np.concatenate([_arc(1, 51.3, 308.7), _arc(0.8, 282.6, 77.4, centre=0.45)])],
    "cross": [_cross()],
    "heart": [_heart()],
    "ring": [_arc(1, 0, 360), _arc(0.55, 0, 360)],
    "square": [np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])],
    "star": [_star()],
    "triangle": [np.array([(0, -1), (1, 0.75), (-1, 0.75)])],
}
SHAPES = tuple(_OUTLINES)


@dataclass(frozen=True)
class Pose:
    """Where a shape lies: centre and sides in pixels, rotation in degrees."""

    x: float
    y: float
    width: float
    height: float
    angle: float


def place(shape: str, pose: Pose) -> list[Points]:
    """Outlines of the shape in image coordinates, each (n, 2)."""
    outlines = _OUTLINES[shape]
    every = np.concatenate(outlines)
    low, high = every.min(axis=0), every.max(axis=0)
    angle = np.radians(pose.angle)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    scale = np.array([pose.width, pose.height]) / (high - low)
    return [((o - (low + high) / 2) * scale) @ rotation + (pose.x, pose.y) for o in outlines]


def coverage(outlines: list[Points], width: int, height: int) -> np.ndarray:
    """Share of each pixel that the outlines cover: (height, width) float32, 0..1."""
    alpha = np.zeros((height, width), dtype=np.float32)
    every = np.concatenate(outlines)
    left, top = np.clip(np.floor(every.min(axis=0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(every.max(axis=0)).astype(int), 0, (width, height))
    if right <= left or bottom <= top:
        return alpha
    canvas = np.zeros(((bottom - top) * _OVERSAMPLING, (right - left) * _OVERSAMPLING), np.uint8)
    # OpenCV's coordinates have (0, 0) at the middle of the first pixel
    fixed = [
        np.round(((o - (left, top)) * _OVERSAMPLING - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        for o in outlines
    ]
    cv2.fillPoly(canvas, fixed, 255, shift=_SUBPIXEL_BITS)
    small = cv2.resize(canvas, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    alpha[top:bottom, left:right] = small / np.float32(255)
    return alpha


def paint(image: Image, alpha: np.ndarray, rng: np.random.Generator) -> None:
    """Paint a surface with a random texture in place where `alpha` says, with shadow and rim."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if len(rows) == 0:
        return
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = 2 + size // 8
    window = (
        slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin),
    )
    patch, cover = image[window], alpha[window]
    if rng.random() < 0.6:
        sideways = rng.uniform(-0.06, 0.06) * size
        shift = np.array([[1, 0, sideways], [0, 1, 0.06 * size]], np.float32)
        shadow = cv2.warpAffine(cover, shift, cover.shape[::-1])
        shadow = cv2.GaussianBlur(shadow, (0, 0), 0.6 + 0.03 * size)
        patch *= 1 - np.float32(rng.uniform(0.2, 0.5)) * shadow[..., None]
    surface = _surface(cover.shape, size, _background_colour(patch, cover), rng)
    if rng.random() < 0.5:
        inner = cv2.GaussianBlur(cover, (0, 0), 0.8 + 0.02 * size)
        surface *= np.clip(0.35 + 0.65 * (inner * 2 - 0.9), 0.35, 1)[..., None]
    patch += cover[..., None] * (surface - patch)


def _background_colour(patch: Image, cover: np.ndarray) -> np.ndarray:
    weights = cover[..., None] + np.float32(1e-6)
    return (patch * weights).sum(axis=(0, 1)) / weights.sum()


def _surface(
    shape: tuple[int, ...], size: int, behind: np.ndarray, rng: np.random.Generator
) -> Image:
    """A textured, shaded surface that stands out from the mean colour `behind` it."""
    first = random_colour(rng)
    for _ in range(20):
        if np.abs(first - behind).sum() >= 170:
            break
        first = random_colour(rng)
    second = np.clip(first + rng.uniform(-75, 75, 3), 0, 255).astype(np.float32)
    mix = _texture(shape, size, rng)[..., None]
    surface = first * (1 - mix) + second * mix
    # light falls from one side
    along = _ramp(shape, rng.uniform(0, 2 * np.pi))
    return surface * (1 + np.float32(rng.uniform(0, 0.3)) * along)[..., None]


def _texture(shape: tuple[int, ...], size: int, rng: np.random.Generator) -> np.ndarray:
    """Mixing weights 0..1 of two colours: plain, gradient, stripes, checks, dots or clouds."""
    kind = rng.integers(6)
    angle = rng.uniform(0, np.pi)
    period = max(size * rng.uniform(0.18, 0.4), 4.0)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u = (x * np.cos(angle) + y * np.sin(angle)) / period
    v = (y * np.cos(angle) - x * np.sin(angle)) / period
    match kind:
        case 0:
            return np.zeros(shape, np.float32)
        case 1:
            return (_ramp(shape, angle) + 1) / 2
        case 2:
            return (np.sin(2 * np.pi * u) > 0).astype(np.float32)
        case 3:
            return (np.sin(np.pi * u) * np.sin(np.pi * v) > 0).astype(np.float32)
        case 4:
            return ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.09).astype(np.float32)
        case _:
            return clouds(shape, 5, rng)


def background(width: int, height: int, rng: np.random.Generator) -> Image:
    """Gradient and clouds of two or three colours, with lines, curves and blobs as clutter."""
    # smooth fields, so a quarter of the resolution is enough
    shape = (height // 4, width // 4)
    base, other, third = (random_colour(rng, vivid=0.65) for _ in range(3))
    mix = np.clip((_ramp(shape, rng.uniform(0, 2 * np.pi)) + 1) / 2, 0, 1)[..., None]
    image = base * (1 - mix) + other * mix
    spots = clouds(shape, int(rng.integers(3, 9)), rng)[..., None] * np.float32(rng.uniform(0, 0.8))
    image = cv2.resize(image * (1 - spots) + third * spots, (width, height))
    for _ in range(rng.integers(2, 9)):
        _clutter(image, rng)
    return image


def _clutter(image: Image, rng: np.random.Generator) -> None:
    """One distractor that is no shape of ours: a line, a wave or a soft-edged blob."""
    height, width = image.shape[:2]
    colour = random_colour(rng, vivid=0.7)
    alpha = np.zeros((height, width), np.uint8)
    start = rng.uniform(0, 1, 2) * (width, height)
    kind = rng.random()
    if kind < 0.75:
        length, angle = rng.uniform(0.2, 1.2) * width, rng.uniform(0, 2 * np.pi)
        t = np.linspace(0, 1, 24)[:, None]
        along = np.array([np.cos(angle), np.sin(angle)])
        wave = 0 if kind < 0.4 else rng.uniform(0.03, 0.12) * width
        across = wave * np.sin(t * rng.uniform(4, 14) + rng.uniform(0, 6))
        points = start + t * length * along + across * along[::-1] * (-1, 1)
        thickness = int(rng.integers(1, 4))
        cv2.polylines(
            alpha, [(points * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, shift=4
        )
    else:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radius = rng.uniform(0.04, 0.13) * width
        lumps = sum(
            rng.uniform(0, 0.25) * np.sin(n * angles + rng.uniform(0, 6)) for n in range(2, 6)
        )
        points = start + radius * ((1 + lumps) * np.stack([np.cos(angles), np.sin(angles)])).T
        cv2.fillPoly(alpha, [(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 4))
    strength = np.float32(rng.uniform(0.35, 0.9) / 255)
    left, top, columns, rows = cv2.boundingRect(alpha)
    window = slice(top, top + rows), slice(left, left + columns)
    image[window] += strength * alpha[window][..., None] * (colour - image[window])


def finish(image: Image, rng: np.random.Generator) -> np.ndarray:
    """What a camera adds: exposure, blur, noise. Return uint8 RGB."""
    image = image * np.float32(rng.uniform(0.75, 1.15))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image += np.float32(rng.uniform(1, 7)) * rng.standard_normal(image.shape, dtype=np.float32)
    # rounds and clips to 0..255
    return cv2.convertScaleAbs(np.maximum(image, 0))


def random_colour(rng: np.random.Generator, vivid: float = 1.0) -> np.ndarray:
    """A colour (3,) float32 of any hue; `vivid` is the largest saturation."""
    hue = rng.uniform(0, 360)
    saturation, value = vivid * rng.uniform(0.1, 1) ** 0.7, rng.uniform(0.25, 1)
    hsv = np.array([[[hue, saturation, value]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] * np.float32(255)


def clouds(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field (height, width) float32, 0..1, with about `cells` spots a side."""
    field = rng.random((cells, cells)).astype(np.float32)
    return np.clip(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def _ramp(shape: tuple[int, ...], angle: float) -> np.ndarray:
    """Linear ramp (height, width) float32 in the direction `angle`, about -1..1."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)
    return x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
