"""Block `data`: where each data set comes from and what of it is used."""

from typing import Annotated

from pydantic import Field

from yolo.params.base import Block
from yolo.params.values import Seed, Share

SplitNames = Annotated[list[str], Field(min_length=1)] | None
"""Names of the set's own splits (`train`, `VOC2007/trainval`), or null: the split of this name
that the set has, else a seeded share of its training images."""
Classes = Annotated[list[str], Field(min_length=1)] | None
"""Class names in the order of their numbers, or null: all that are found, sorted."""
Rename = dict[str, str | None]
"""What a class is called instead, by the name that the set gives it; null: it is left out."""
Side = Annotated[int, Field(ge=16)] | None
"""Pixels of the shorter side to which clean images are reduced; null: as published."""
Source = Annotated[str, Field(min_length=1)]
"""Local path of an archive, a folder or a descriptor (`sources/*.yaml`)."""


class ClassificationSplits(Block):
    """Which published splits make up ours."""

    train: SplitNames
    val: SplitNames


class DetectionSplits(Block):
    """Which published splits make up ours."""

    train: SplitNames
    val: SplitNames
    test: SplitNames


class Shares(Block):
    """Seeded shares of the training images that stand in for a split the set does not have."""

    val: Share
    test: Share
    seed: Seed


class Classification(Block):
    """The set on which the backbone is pre-trained: one class per image."""

    source: Source
    classes: Classes
    rename: Rename
    splits: ClassificationSplits
    shares: Shares
    shorter_side: Side


class Detection(Block):
    """The set on which the detector is trained: boxes."""

    source: Source
    classes: Classes
    rename: Rename
    splits: DetectionSplits
    shares: Shares
    shorter_side: Side


class Data(Block):
    """Both sets."""

    classification: Classification
    detection: Detection
