"""Source descriptors (`sources/*.yaml`): how to get a data set."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from yolo.data.synthetic.recipes import ClassificationRecipe, DetectionRecipe
from yolo.errors import UserError
from yolo.params.base import Block, parse, read_document

Text = Annotated[str, Field(min_length=1)]


def _file_name(name: str) -> str:
    if name != PurePosixPath(name).name or name.startswith("."):
        raise ValueError("must be a plain file name")
    return name


def _url(address: str) -> str:
    if "://" not in address:
        raise ValueError("must be an address such as https://host/file.tar")
    return address


class PublishedFile(Block):
    """A published file, the same bytes at each of `urls`; they are tried in order."""

    name: Annotated[Text, AfterValidator(_file_name)]
    urls: Annotated[list[Annotated[str, AfterValidator(_url)]], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    """Binding when given; with neither, the sum of the first fetch is recorded."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Bytes."""

    @model_validator(mode="after")
    def _one_sum(self) -> Self:
        if self.sha256 and self.md5:
            raise ValueError("has both sha256 and md5; one binds")
        return self

    @property
    def checksum(self) -> tuple[str, str] | None:
        """Algorithm and digest, or None when nobody knows it."""
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None


class Archive(PublishedFile):
    """An archive that a set needs."""

    alternatives: list[PublishedFile] = Field(default_factory=list)
    """Other files with the same data (a zip beside a tar), tried when no address of it answers."""


class Revision(Block):
    """A data set on Hugging Face at a commit; its parquet files are fetched."""

    repo: Annotated[str, Field(pattern="^[^/]+/[^/]+$")]
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class _Descriptor(Block):
    title: Text
    licence: Text


class Published(_Descriptor):
    """Archives at web addresses or wherever fsspec reaches (`s3://...`)."""

    archives: Annotated[list[Archive], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [file.name for one in self.archives for file in (one, *one.alternatives)]
        if len(set(names)) < len(names):
            raise ValueError(f"has archives of one name among {names}")
        return self


class HuggingFace(_Descriptor):
    """A data set on Hugging Face."""

    huggingface: Revision


class SyntheticClassification(_Descriptor):
    """A set that the project makes itself."""

    synthetic: Literal["classification"]
    recipe: ClassificationRecipe


class SyntheticDetection(_Descriptor):
    """A set that the project makes itself."""

    synthetic: Literal["detection"]
    recipe: DetectionRecipe


class NoSet(_Descriptor):
    """No data: the classification set of a project that does not train on one."""

    none: Literal[True]


Descriptor = Published | HuggingFace | SyntheticClassification | SyntheticDetection | NoSet
_KINDS = ("archives", "huggingface", "synthetic", "none")


def is_descriptor(source: Path) -> bool:
    """Whether `data.<set>.source` is a descriptor rather than data."""
    return source.suffix in (".yaml", ".yml")


def read_descriptor(path: Path) -> Descriptor:
    """Read a descriptor; raise `UserError` naming each wrong key."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; descriptors are in sources/")
    document = read_document(path)
    kinds = [kind for kind in _KINDS if kind in document]
    if len(kinds) != 1:
        found = ", ".join(kinds) or "none of them"
        raise UserError(f"{path} needs exactly one of the keys {', '.join(_KINDS)}; it has {found}")
    if kinds == ["none"]:
        return parse(NoSet, document, str(path))
    if kinds == ["archives"]:
        return parse(Published, document, str(path))
    if kinds == ["huggingface"]:
        return parse(HuggingFace, document, str(path))
    if document["synthetic"] == "detection":
        return parse(SyntheticDetection, document, str(path))
    if document["synthetic"] == "classification":
        return parse(SyntheticClassification, document, str(path))
    raise UserError(
        f"{path}: synthetic is {document['synthetic']!r}; allowed: classification, detection"
    )
