"""Read the label file of one image as the YOLO programs write it.

A line is `class x y width height`, the centre and size of the box in shares of the image; or
`class x1 y1 x2 y2 x3 y3 …`, an outline, of which the box around it is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yolo.data.formats.annotations import FARTHEST, Annotation, Box, Object
from yolo.data.formats.voc_xml import read_numbers
from yolo.errors import UserError

_MOST = 2
"""A larger share than any box in an image has."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Reads label files.

    Attributes:
        classes: Names of the classes by number; None: each is called by its number.
        keypoints: What follows the box are keypoints and no outline.
    """

    classes: tuple[str, ...] | None
    keypoints: bool = False

    def __call__(self, data: bytes) -> Annotation:
        """Objects of the file, a line each; an empty file has none.

        Raises:
            UserError: It is no text. Says only what is wrong.
        """
        rows = enumerate(_rows(data), 1)
        return Annotation(tuple(self._object(row, number) for number, row in rows), shares=True)

    def _object(self, row: Sequence[str], number: int) -> Object:
        name, unnamed = self._name(row[0])
        box = self._box(row[1:])
        shown = " ".join(row[1:]) if box else f"{' '.join(row[1:])} ({_why_none(row[1:])})".strip()
        return Object(number, name, box, shown, unnamed=unnamed)

    def _name(self, text: str) -> tuple[str, str]:
        numbers = read_numbers([text])
        if numbers is None or not 0 <= numbers[0] < FARTHEST or numbers[0] % 1:
            return "", f"its class is {text!r}, which is no number"
        label = int(numbers[0])
        if self.classes is None:
            return str(label), ""
        if label >= len(self.classes):
            names = f"the names of the classes, which are numbered 0 to {len(self.classes) - 1}"
            return "", f"class {label} is not among {names}"
        return self.classes[label], "has no name"

    def _box(self, texts: Sequence[str]) -> Box | None:
        numbers = read_numbers(texts)
        if numbers is None or any(abs(number) > _MOST for number in numbers):
            return None
        if len(numbers) == 4 or (self.keypoints and len(numbers) > 4):
            x, y, width, height = numbers[:4]
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
        if len(numbers) >= 6 and len(numbers) % 2 == 0:
            xs, ys = numbers[::2], numbers[1::2]
            return min(xs), min(ys), max(xs), max(ys)
        return None


def _why_none(texts: Sequence[str]) -> str:
    numbers = read_numbers(texts)
    if numbers is None:
        return "not all are numbers"
    if any(abs(number) > _MOST for number in numbers):
        return "these are no shares of the image, which are 0 to 1"
    return f"{len(numbers)} numbers in place of x, y, width, height or an outline"


def looks_like(data: bytes) -> bool:
    """Whether each line begins with a number and has four or more behind it."""
    try:
        rows = list(_rows(data))
    except UserError:
        return False
    return all(len(row) >= 5 and read_numbers(row) is not None for row in rows)


def _rows(data: bytes) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is no text file of labels: {error}") from None
    return (row for line in text.splitlines() if (row := line.split()))
