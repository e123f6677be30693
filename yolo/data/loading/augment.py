"""Random crop, resize, flip and colours of training images (data.c, image.c).

`warp` does the original's crop, resize and flip in one pass over 8-bit pixels. It agrees with the
original's float arithmetic to within two grey levels. `recolour` changes colours on the device.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from yolo.runtime.threads import parallel_map


@dataclass(frozen=True)
class Crop:
    """A rectangle of an image, in pixels; it may reach beyond the image.

    The centre of the crop's first pixel lies at (left, top), that of its last at
    (left + width - 1, top + height - 1), in the coordinates of the image's pixel centres.
    """

    left: float
    top: float
    width: float
    height: float


# Draws


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers of one sample: a stream of its own for each seed, epoch and index.

    Philox is a function of a key and a counter. The key is (seed, epoch), the index sits above
    the part of the counter that draws advance, so streams cannot meet.
    """
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def draw_crop(rng: np.random.Generator, width: int, height: int, jitter: float) -> Crop:
    """The detector's crop: each side moves by up to `jitter` (data.c: load_data_region).

    Args:
        rng: source of the draws.
        width: of the image in pixels.
        height: of the image in pixels.
        jitter: largest move of a side as a share of the image, in or out.
    """
    across, down = int(width * jitter), int(height * jitter)
    # Whole pixels, cut towards 0 as C converts to int.
    left, right = (int(rng.uniform(-across, across)) for _ in range(2))
    top, bottom = (int(rng.uniform(-down, down)) for _ in range(2))
    return Crop(left, top, width - left - right, height - top - bottom)


def draw_classifier_crop(
    rng: np.random.Generator, width: int, height: int, size: int, min_crop: int, max_crop: int
) -> Crop:
    """The classifier's crop: a random square of a random scale (image.c: random_augment_image).

    The image is thought scaled so that its shorter side is min_crop to max_crop pixels; a
    random size x size part of that is the crop. The original's rotation and aspect change, which
    its pre-training leaves off, are not offered.

    Args:
        rng: source of the draws.
        width: of the image in pixels.
        height: of the image in pixels.
        size: side of the output in pixels, at most `min_crop`.
        min_crop: least shorter side, inclusive.
        max_crop: greatest shorter side, inclusive.
    """
    scale = rng.integers(min_crop, max_crop, endpoint=True) / min(width, height)
    # Never below 0, to which rounding may push the room of a side that just fits.
    room_across = max(0.0, width * scale - size) / 2
    room_down = max(0.0, height * scale - size) / 2
    shift_across = rng.uniform(-room_across, room_across)
    shift_down = rng.uniform(-room_down, room_down)
    side = (size - 1) / scale + 1
    return Crop(
        (shift_across - size / 2) / scale + width / 2,
        (shift_down - size / 2) / scale + height / 2,
        side,
        side,
    )


def centre_crop(width: int, height: int) -> Crop:
    """The largest square in the middle, for validation (image.c: center_crop_image)."""
    side = min(width, height)
    return Crop((width - side) // 2, (height - side) // 2, side, side)


def draw_colour(
    rng: np.random.Generator, hue: float, saturation: float, exposure: float
) -> tuple[float, float, float]:
    """Hue shift and factors of saturation and exposure (image.c: random_distort_image).

    Args:
        rng: source of the draws.
        hue: greatest shift either way, as a share of the colour circle.
        saturation: the factor lies between 1 and this, or is the inverse of such a number.
        exposure: likewise.
    """
    return rng.uniform(-hue, hue), _draw_scale(rng, saturation), _draw_scale(rng, exposure)


def _draw_scale(rng: np.random.Generator, limit: float) -> float:
    """image.c: rand_scale."""
    scale = rng.uniform(min(1.0, limit), max(1.0, limit))
    return scale if rng.random() < 0.5 else 1 / scale


# Pixels


def warp(
    image: np.ndarray, crop: Crop, size: int, flip: bool, vertical_flip: bool = False
) -> np.ndarray:
    """Crop, resize to size x size and flip, in one bilinear sampling of 8-bit pixels.

    Within two grey levels of the original's three steps. Pixels outside the image repeat its edge.

    Args:
        image: (H, W, 3) uint8.
        crop: what becomes the output, its shape not kept; some of the image lies in it.
        size: side of the output in pixels, from 2 up.
        flip: mirror left and right.
        vertical_flip: mirror top and bottom.

    Returns:
        (size, size, 3) uint8.
    """
    if all(float(number).is_integer() for number in vars(crop).values()):
        warped = _resize_whole_pixels(image, crop, size)
    else:
        step_across, step_down = (crop.width - 1) / (size - 1), (crop.height - 1) / (size - 1)
        source_of_output = np.array([[step_across, 0, crop.left], [0, step_down, crop.top]])
        # The same numbers as for three channels, in less than half the time.
        warped = cv2.warpAffine(
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),
            source_of_output,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        warped = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    if flip and vertical_flip:
        return cv2.flip(warped, -1)
    if flip or vertical_flip:
        return cv2.flip(warped, 1 if flip else 0)
    return warped


def _resize_whole_pixels(image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """Resize a crop in whole pixels: columns, then rows, in a third of the time of an affine."""
    height, width = image.shape[:2]
    left, top = int(crop.left), int(crop.top)
    right, bottom = left + int(crop.width), top + int(crop.height)
    cut = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    outside = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    cut = cv2.copyMakeBorder(cut, *outside, cv2.BORDER_REPLICATE)
    if cut.shape[:2] == (size, size):
        # PyTorch would copy it in threads of OpenMP's, made for the loader's thread that asks; with
        # more of those than cores OpenMP puts all to sleep between any two operations from then on.
        return cut
    # A batch of one whose strides say channels last: any other takes the slow way.
    batch = torch.from_numpy(cut)[None].permute(0, 3, 1, 2)
    resized = functional.interpolate(batch, (size, size), mode="bilinear", align_corners=True)
    return resized.permute(0, 2, 3, 1)[0].numpy()


def recolour(images: Tensor, colour: Tensor) -> Tensor:
    """Make the network's input of a batch of 8-bit images, with their colours changed.

    On a GPU this is `distort`; on a CPU the same by OpenCV's vectorised conversions, 20 times
    faster and equal to within a hundredth of a grey level.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        colour: (N, 3) float hue shift, factors of saturation and exposure, as drawn by
            `draw_colour`.

    Returns:
        (N, 3, H, W) float32 RGB, 0..1, channels last in memory.
    """
    if images.device.type != "cpu":
        return distort(images.permute(0, 3, 1, 2).float() / 255, *colour.unbind(1))
    result = np.empty(images.shape, np.float32)
    pixels, changes = images.numpy(), colour.tolist()
    parallel_map(lambda n: _recolour(pixels[n], result[n], changes[n]), range(len(result)))
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def _recolour(image: np.ndarray, result: np.ndarray, change: list[float]) -> None:
    """Write one image with its colours changed, (H, W, 3) uint8 to float, into `result`."""
    if change == [0.0, 1.0, 1.0]:
        np.divide(image, np.float32(255), out=result)
        return
    hue, saturation, exposure = change
    # Neither hue nor saturation depends on the scale, so the division by 255 is the value's.
    np.copyto(result, image)
    hsv = cv2.cvtColor(result, cv2.COLOR_RGB2HSV)
    # OpenCV's hue is in degrees; it wraps above 360 but not reliably below 0.
    shift_and_scale = np.array(
        [[1, 0, 0, hue % 1 * 360], [0, saturation, 0, 0], [0, 0, exposure / 255, 0]]
    )
    cv2.transform(hsv, shift_and_scale, dst=result)
    cv2.cvtColor(result, cv2.COLOR_HSV2RGB, dst=hsv)
    np.clip(hsv, 0, 1, out=result)


def distort(images: Tensor, hue: Tensor, saturation: Tensor, exposure: Tensor) -> Tensor:
    """Change colours in HSV (image.c: distort_image, rgb_to_hsv, hsv_to_rgb).

    The hue is shifted and wraps, saturation and value are scaled, the result is clamped to
    0..1. Grey pixels, which have no hue, stay grey.

    Args:
        images: (N, 3, H, W) float RGB, 0..1.
        hue: (N,) shift as a share of the colour circle, -1..1.
        saturation: (N,) factor.
        exposure: (N,) factor.

    Returns:
        (N, 3, H, W) float.
    """
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    # Where a divisor would be 0 the dividend is too: grey has no spread, black no value.
    tiny = torch.finfo(images.dtype).tiny
    divisor = spread.clamp(min=tiny)
    sixths = torch.where(
        red == value,
        (green - blue) / divisor,
        torch.where(green == value, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    angle = torch.where(sixths < 0, sixths + 6, sixths) / 6 + hue[:, None, None]
    angle = torch.where(angle > 1, angle - 1, angle)
    sixths = torch.where(angle < 0, angle + 1, angle) * 6

    scaled = spread / value.clamp(min=tiny) * saturation[:, None, None]
    top = value * exposure[:, None, None]
    bottom = top * (1 - scaled)
    sector = sixths.floor()
    share = sixths - sector
    # In each sector one channel is at the top, one at the bottom, and the one in between
    # rises in even sectors and falls in odd ones.
    between = top * (1 - scaled * torch.where(sector % 2 == 0, 1 - share, share))

    def channel(first_at_top: int) -> Tensor:
        turn = (sector - first_at_top) % 6
        return torch.where(turn < 2, top, torch.where((turn == 2) | (turn == 5), between, bottom))

    return torch.stack((channel(5), channel(1), channel(3)), dim=1).clamp(0, 1)
