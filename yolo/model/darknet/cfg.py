"""The original's network descriptions (.cfg): sections to rows and back (parser.c, option_list.c).

Spaces count for nothing, `#` and `;` begin a comment line, the first of two equal keys holds, a
missing key takes the original's default, and a key that a section does not know is passed over.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from yolo.errors import UserError
from yolo.model.network.layer_specs import (
    Activation,
    AvgPool,
    Connected,
    Conv,
    Crop,
    Detection,
    Dropout,
    Local,
    MaxPool,
    Row,
    Shape,
    Softmax,
)

_NET = ("net", "network")
_ALIASES = {
    "conv": "convolutional",
    "conn": "connected",
    "max": "maxpool",
    "avg": "avgpool",
    "soft": "softmax",
}
# keys that change what a section computes or stores, and that no YOLO v1 network uses
_REFUSED = ("binary", "xnor", "flipped", "dontload", "dontloadscales", "numload", "tree", "spatial")


@dataclass(frozen=True)
class Section:
    """A section of the file; `index` counts from 0 after [net], which has -1."""

    index: int
    kind: str
    options: dict[str, str]

    def __str__(self) -> str:
        return f"section {self.index} [{self.kind}]" if self.index >= 0 else f"[{self.kind}]"

    def integer(self, key: str, default: int, minimum: int = 0) -> int:
        """The value of a key; digits may be followed by a comment, as the original allows."""
        text = self.options.get(key)
        if text is None:
            return default
        match = re.fullmatch(r"([+-]?\d{1,9})([#;].*)?", text)
        if match is None or int(match[1]) < minimum:
            raise UserError(
                f"{self}: {key}={text[:20]} must be a whole number that is not below {minimum}, "
                "of nine digits at most"
            )
        return int(match[1])

    def number(self, key: str, default: float) -> float:
        """The value of a key."""
        text = re.sub("[#;].*", "", self.options.get(key, str(default)))
        try:
            return float(text)
        except ValueError:
            raise UserError(f"{self}: {key}={text} must be a number") from None

    def activation(self) -> Activation:
        """The activation; the original's default is logistic."""
        name = self.options.get("activation", "logistic")
        for known in get_args(Activation):
            if name == known:
                return known
        raise UserError(
            f"{self}: activation={name} is not supported; "
            f"there are: {', '.join(get_args(Activation))}"
        )


def read_text(cfg: str | Path) -> str:
    """The text of a .cfg file, given by its path; a string of several lines is the text itself."""
    if isinstance(cfg, str) and "\n" in cfg:
        return cfg
    try:
        return Path(cfg).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the network description {cfg}: {error}") from None


def parse(text: str) -> tuple[Shape, list[Section]]:
    """Input shape (channels, height, width) and the sections after [net].

    UserError, naming the section, for what is malformed or not supported.
    """
    sections = _sections(text)
    if not sections or sections[0].kind not in _NET:
        raise UserError("a network description must begin with the section [net] or [network]")
    net = sections[0]
    shape = tuple(net.integer(key, 0) for key in ("channels", "height", "width"))
    if not all(shape):
        raise UserError(f"{net}: height, width and channels must be given and above 0")
    return shape, sections[1:]


def row(section: Section) -> Row:
    """The row of a section; UserError when the section or one of its values is not supported."""
    for key in _REFUSED:
        if key in section.options and section.options[key] != "0":
            raise UserError(f"{section}: {key} is not supported")
    try:
        make = _ROWS[section.kind]
    except KeyError:
        raise UserError(
            f"{section} is not supported; there are: {', '.join(sorted(_ROWS))}"
        ) from None
    return make(section)


def _sections(text: str) -> list[Section]:
    sections: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = "".join(line.split())
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            kind = line.partition("]")[0].removeprefix("[")
            sections.append(Section(len(sections) - 1, _ALIASES.get(kind, kind), {}))
            continue
        key, _, value = line.partition("=")
        if not sections or not value:
            where = f"{sections[-1]}, " if sections else ""
            raise UserError(f"{where}line {number}: {line!r} is no key=value of a section")
        sections[-1].options.setdefault(key, value)
    return sections


def _convolutional(section: Section) -> Conv:
    size = section.integer("size", 1, 1)
    return Conv(
        filters=section.integer("filters", 1, 1),
        size=size,
        stride=section.integer("stride", 1, 1),
        # `pad` is a flag, `padding` a number
        padding=size // 2 if section.integer("pad", 0) else section.integer("padding", 0),
        activation=section.activation(),
        batch_norm=bool(section.integer("batch_normalize", 0)),
        groups=section.integer("groups", 1, 1),
    )


def _maxpool(section: Section) -> MaxPool:
    stride = section.integer("stride", 1, 1)
    size = section.integer("size", stride, 1)
    return MaxPool(size, stride, section.integer("padding", size - 1))


def _local(section: Section) -> Local:
    return Local(
        filters=section.integer("filters", 1, 1),
        size=section.integer("size", 1, 1),
        stride=section.integer("stride", 1, 1),
        pad=section.integer("pad", 0),
        activation=section.activation(),
    )


def _connected(section: Section) -> Connected:
    return Connected(
        outputs=section.integer("output", 1, 1),
        activation=section.activation(),
        batch_norm=bool(section.integer("batch_normalize", 0)),
    )


def _dropout(section: Section) -> Dropout:
    probability = section.number("probability", 0.5)
    if not 0 <= probability < 1:
        raise UserError(f"{section}: probability={probability:g} must be in [0, 1)")
    return Dropout(probability)


def _softmax(section: Section) -> Softmax:
    temperature = section.number("temperature", 1)
    if temperature <= 0:
        raise UserError(f"{section}: temperature={temperature:g} must be above 0")
    return Softmax(section.integer("groups", 1, 1), temperature)


def _crop(section: Section) -> Crop:
    return Crop(
        height=section.integer("crop_height", 1, 1),
        width=section.integer("crop_width", 1, 1),
        adjust=not section.integer("noadjust", 0),
    )


def _detection(section: Section) -> Detection:
    coords = section.integer("coords", 1)
    if coords != 4:
        raise UserError(f"{section}: coords={coords} is not supported; a box has 4")
    return Detection(
        grid=section.integer("side", 7, 1),
        boxes=section.integer("num", 1, 1),
        classes=section.integer("classes", 1, 1),
        softmax=bool(section.integer("softmax", 0)),
        sqrt=bool(section.integer("sqrt", 0)),
    )


_ROWS = {
    "convolutional": _convolutional,
    "maxpool": _maxpool,
    "local": _local,
    "connected": _connected,
    "dropout": _dropout,
    "avgpool": lambda _: AvgPool(),
    "softmax": _softmax,
    "crop": _crop,
    "detection": _detection,
}


def write(rows: Iterable[Row], shape: Shape, comment: str) -> str:
    """The text of a .cfg with these sections; ValueError for a row that the original has not.

    The loss and augmentation keys of [detection] are those of the original's cfg/yolov1.cfg.
    """
    net = dict(zip(("channels", "height", "width"), shape, strict=True))
    lines = [f"# {comment}", *_section("net", batch=1, subdivisions=1, **net)]
    for number, row in enumerate(rows):
        lines += _written(row, number)
    return "\n".join(lines) + "\n"


def _section(kind: str, **options: float | str) -> list[str]:
    values = (f"{key}={int(v) if isinstance(v, bool) else v}" for key, v in options.items())
    return [f"[{kind}]", *values, ""]


def _written(row: Row, index: int) -> list[str]:
    match row:
        case Conv():
            # the original of 2015 knows the flag alone, and no groups
            same = row.padding == row.size // 2
            padding = {"pad": 1} if same else {"padding": row.padding}
            groups = {"groups": row.groups} if row.groups > 1 else {}
            return _section(
                "convolutional",
                batch_normalize=row.batch_norm,
                filters=row.filters,
                size=row.size,
                stride=row.stride,
                **padding,
                **groups,
                activation=row.activation,
            )
        case MaxPool():
            padding = {"padding": row.padding} if row.padding != row.size - 1 else {}
            return _section("maxpool", size=row.size, stride=row.stride, **padding)
        case Local():
            return _section(
                "local",
                size=row.size,
                stride=row.stride,
                pad=row.pad,
                filters=row.filters,
                activation=row.activation,
            )
        case Connected():
            return _section(
                "connected",
                batch_normalize=row.batch_norm,
                output=row.outputs,
                activation=row.activation,
            )
        case Dropout():
            return _section("dropout", probability=row.probability)
        case AvgPool():
            return _section("avgpool")
        case Softmax():
            return _section("softmax", groups=row.groups, temperature=row.temperature)
        case Crop():
            return _section(
                "crop",
                crop_height=row.height,
                crop_width=row.width,
                flip=0,
                angle=0,
                saturation=1,
                exposure=1,
                noadjust=not row.adjust,
            )
        case Detection():
            return _section(
                "detection",
                classes=row.classes,
                coords=4,
                rescore=1,
                side=row.grid,
                num=row.boxes,
                softmax=row.softmax,
                sqrt=row.sqrt,
                jitter=0.2,
                object_scale=1,
                noobject_scale=0.5,
                class_scale=1,
                coord_scale=5,
            )
        case _:
            raise ValueError(f"section {index}: the original has no layer {row}")
