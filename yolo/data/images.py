"""Encoded pictures to pixels and back."""

import cv2
import numpy as np

from yolo.errors import UserError

# A picture's EXIF orientation is not applied: VOC's boxes count stored pixels, and the original
# program does not read it either.
_STORED_PIXELS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_JPEG_QUALITY = 95


def decode(data: bytes | memoryview, name: str) -> np.ndarray:
    """Decode a picture of any format, whatever its file name says.

    Grey and CMYK pictures become RGB, transparency is dropped, 16 bits become 8.

    Args:
        data: Encoded bytes.
        name: What an error calls the picture.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UserError: The bytes are truncated, damaged or no picture.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _STORED_PIXELS)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{name} cannot be decoded: it is truncated, damaged or no picture")
    return image


def encode_jpeg(image: np.ndarray, quality: int = _JPEG_QUALITY) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"picture of shape {image.shape} cannot be encoded")
    return data.tobytes()


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at this size; the same array when it has it already."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def shrink(image: np.ndarray, shorter_side: int) -> np.ndarray:
    """Reduce to this shorter side, keeping the proportions; smaller pictures stay as they are.

    Each new pixel is the mean of those that it covers.
    """
    height, width = image.shape[:2]
    factor = shorter_side / min(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
