"""Convert an image in any form to (H, W, 3) uint8 RGB: path, PIL image, array or tensor."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from yolo.data.formats.index import unread_format
from yolo.errors import UserError
from yolo.model.detector.predict import ImageArray

AnyImage = str | PathLike[str] | Image.Image | NDArray[np.generic] | Tensor
"""A path; a PIL image; an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); a tensor (1 or 3, H, W).

Values are uint8, uint16 (arrays only) or float in [0, 1]; channels are RGB. Grey images become RGB,
an alpha channel is dropped.
"""


def is_one(images: AnyImage | Iterable[AnyImage]) -> bool:
    """Whether this is one image, not several; arrays and tensors of 4 dimensions are several."""
    if isinstance(images, np.ndarray | Tensor):
        return images.ndim < 4
    return isinstance(images, str | PathLike | Image.Image)


def to_array(image: AnyImage) -> ImageArray:
    """Return any image as (H, W, 3) uint8 RGB.

    A file is rotated by its EXIF orientation, as a viewer shows it; a PIL image, an array and a
    tensor are used as they are.

    Raises:
        UserError: A file is missing, truncated, damaged or not an image.
        ValueError: An array or tensor has another shape, type or range.
    """
    if isinstance(image, str | PathLike):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return _from_array(np.asarray(_plain(image)))
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(
                f"a tensor of shape {tuple(image.shape)} is not an image: (3, H, W) or (1, H, W) "
                "is allowed"
            )
        return _from_array(image.detach().cpu().permute(1, 2, 0).numpy())
    if isinstance(image, np.ndarray):
        return _from_array(image)
    raise TypeError(
        f"{type(image).__name__} is not an image: give a path, PIL image, array or tensor"
    )


def read_image(path: Path) -> ImageArray:
    """Read an image file of any format, rotated by its EXIF orientation; the suffix is ignored.

    Training and evaluation see the same pixels: validation rotates images that EXIF rotates.

    Raises:
        UserError: The file cannot be read, or is truncated, damaged or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    return decode_upright(data, str(path))


def decode_upright(data: bytes, name: str) -> ImageArray:
    """Decode as `read_image` does; `name` stands for the bytes in error messages."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        kind = unread_format(name, data)
        why = "it is truncated, damaged or not an image" if data else "it is empty"
        if kind:
            why = f"{kind} is not read; convert it to JPEG or PNG"
        raise UserError(f"{name} cannot be decoded: {why}")
    return np.asarray(image, np.uint8)


def _plain(image: Image.Image) -> Image.Image:
    return image if image.mode.startswith("I;16") else image.convert("RGB")


def _from_array(array: NDArray[np.generic]) -> ImageArray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"an array of shape {array.shape} is not an image: (H, W), (H, W, 1), (H, W, 3) "
            "or (H, W, 4) is allowed"
        )
    pixels = _to_bytes(array[..., :3])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _to_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.uint16:
        return (array.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        values = array.astype(np.float32, copy=False)
        # the negation also refuses NaN
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                f"an image of floats from {values.min():g} to {values.max():g}; [0, 1] is allowed"
            )
        return np.rint(values * 255).astype(np.uint8)
    raise ValueError(f"an image of {array.dtype}; uint8, uint16 or float in [0, 1] is allowed")
