"""Encoded images to pixels and back."""

import re

import cv2
import numpy as np
import simplejpeg

from yolo.errors import UserError

# The clean data hold images upright: validation has turned what EXIF asks to turn.
_STORED_PIXELS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_JPEG_QUALITY = 95
_JPEG = b"\xff\xd8"
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_HARMLESS_SURPLUS = 8
"""Bytes. Some encoders leave a few behind the last pixel, in sound images of ImageNet too."""
_HARMLESS = (
    "Could not determine subsampling level",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision number",
    "Invalid SOS parameters for sequential JPEG",
    "Corrupt JPEG data: bad ICC marker",
)
"""What TurboJPEG says of CMYK in several resolutions, and of odd headers: the pixels are right."""


def decode(data: bytes | memoryview, name: str) -> np.ndarray:
    """Decode an image of any format, whatever its file name says.

    Grey and CMYK images become RGB, transparency is dropped, 16 bits become 8.

    Args:
        data: Encoded bytes.
        name: What an error calls the image.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UserError: The bytes are truncated, damaged or no image.
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
    # Other formats, and JPEGs of which TurboJPEG complains without need.
    try:
        image = cv2.imdecode(encoded, _STORED_PIXELS)
    except cv2.error:
        image = None
    return "is truncated, damaged or no image" if image is None else image


def _damage(complaint: str) -> str | None:
    """What TurboJPEG's complaint says about the pixels; None: they are right."""
    if complaint == "Premature end of JPEG file":
        return "is truncated"
    surplus = _SURPLUS.search(complaint)
    if complaint.startswith(_HARMLESS) or (surplus and int(surplus[1]) <= _HARMLESS_SURPLUS):
        return None
    return f"has corrupt data: {complaint.removeprefix('Corrupt JPEG data: ')}"


def bits(data: bytes | memoryview) -> int:
    """Bits of each value of an encoded image that `decode` reads."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return 8 if stored is None else 8 * stored.itemsize


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image as viewers show it.

    Args:
        image: (H, W, 3), stored pixels.
        orientation: EXIF's, 1 to 8; 1 leaves the image as it is.
    """
    match orientation:
        case 2:
            image = image[:, ::-1]
        case 3:
            image = image[::-1, ::-1]
        case 4:
            image = image[::-1]
        case 5:
            image = image.swapaxes(0, 1)
        case 6:
            image = image[::-1].swapaxes(0, 1)
        case 7:
            image = image[::-1, ::-1].swapaxes(0, 1)
        case 8:
            image = image.swapaxes(0, 1)[::-1]
    return np.ascontiguousarray(image)


def encode_jpeg(image: np.ndarray, quality: int = _JPEG_QUALITY) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"image of shape {image.shape} cannot be encoded")
    return data.tobytes()


def encode_png(image: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8 RGB as PNG, without loss."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"image of shape {image.shape} cannot be encoded")
    return data.tobytes()


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image at this size; the same array when it has it already."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def shrink(image: np.ndarray, shorter_side: int) -> np.ndarray:
    """Reduce to this shorter side, keeping the proportions; smaller images stay as they are.

    Each new pixel is the mean of those that it covers.
    """
    height, width = image.shape[:2]
    factor = shorter_side / min(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
