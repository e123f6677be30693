"""Encoded pictures to pixels and back."""

import re

import cv2
import numpy as np
import simplejpeg

from yolo.errors import UserError

# A picture's EXIF orientation is not applied: VOC's boxes count stored pixels, and the original
# program does not read it either.
_STORED_PIXELS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_JPEG_QUALITY = 95
_JPEG = b"\xff\xd8"
_SURPLUS = re.compile(r"(\d+) extraneous bytes")
_HARMLESS_SURPLUS = 8
"""Bytes. Some encoders leave a few behind the last pixel, in sound pictures of ImageNet too."""


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
    found = try_decode(data)
    if isinstance(found, str):
        raise UserError(f"{name} cannot be decoded: it {found}")
    return found


def try_decode(data: bytes | memoryview) -> np.ndarray | str:
    """As `decode`, or what is wrong with the bytes, to be read after "it".

    A JPEG that is damaged in its middle is wrong, though most programs show it with grey or
    shifted parts. Damage after which the coded data happen to fit together again is not noticed.
    """
    # Arrow's buffers are of signed bytes, which equal no `bytes`.
    encoded = np.frombuffer(data, np.uint8)
    if encoded[:2].tobytes() == _JPEG:
        try:
            return simplejpeg.decode_jpeg(encoded, "RGB")
        except ValueError as error:
            damage = _damage(str(error))
        if damage:
            return damage
    # Other formats, and JPEGs that TurboJPEG does not know: CMYK of several resolutions.
    try:
        image = cv2.imdecode(encoded, _STORED_PIXELS)
    except cv2.error:
        image = None
    return "is truncated, damaged or no picture" if image is None else image


def _damage(warning: str) -> str | None:
    """What libjpeg's warning says about the pixels; None: they are right, or it cannot tell."""
    if warning == "Premature end of JPEG file":
        return "is truncated"
    kind, _, detail = warning.partition(": ")
    surplus = _SURPLUS.search(detail)
    if kind != "Corrupt JPEG data" or (surplus and int(surplus[1]) <= _HARMLESS_SURPLUS):
        return None
    return f"has corrupt data: {detail}"


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
