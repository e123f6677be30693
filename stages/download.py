"""Stage `download`: put the archives of one set into `data/raw/<set>/`, whole and verified.

`python -m stages.download classification|detection`
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import AliasPath, Field

from stages.common.entry import read_inputs, run
from yolo.data.archives.parquet import split_and_shard
from yolo.data.archives.reader import SUFFIXES, Archives, Limits, archives_in
from yolo.data.download.descriptor import (
    Archive,
    HuggingFace,
    NoSet,
    Published,
    SyntheticDetection,
    is_descriptor,
    read_descriptor,
)
from yolo.data.download.fetch import fetch_all
from yolo.data.download.huggingface import parquet_files
from yolo.data.download.tar_writer import write_tar
from yolo.data.synthetic.generate import classification_members, detection_members
from yolo.errors import UserError
from yolo.files import digest, replacing_folder, write_json
from yolo.params.base import View
from yolo.params.data import Source
from yolo.params.limits import ArchiveLimits
from yolo.runtime.progress import progress
from yolo.runtime.settings import usable_cores

# Partial files survive here: DVC removes outs before it runs a stage.
DOWNLOADS = Path("runs") / "download"


class Classification(View):
    """What `download@classification` reads."""

    source: Source = Field(validation_alias=AliasPath("data", "classification", "source"))
    limits: ArchiveLimits = Field(validation_alias=AliasPath("limits", "archive"))


class Detection(View):
    """What `download@detection` reads."""

    source: Source = Field(validation_alias=AliasPath("data", "detection", "source"))
    limits: ArchiveLimits = Field(validation_alias=AliasPath("limits", "archive"))


INPUTS = {"classification": Classification, "detection": Detection}


def main() -> None:
    """Fetch, copy, pack or make the archives of the set that the command line names."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0] not in INPUTS:
        raise UserError("usage: python -m stages.download " + "|".join(INPUTS))
    key = arguments[0]
    inputs: Classification | Detection = read_inputs(INPUTS[key])
    source, limits = Path(inputs.source), Limits(**inputs.limits.model_dump())
    try:
        with replacing_folder(Path("data") / "raw" / key) as folder:
            if is_descriptor(source):
                obtain(source, folder, key, DOWNLOADS / key, limits)
            else:
                copy(source, folder, key, limits)
            sums = {
                path.name: {"sha256": digest(path), "size": path.stat().st_size}
                for path in sorted(folder.iterdir())
            }
            write_json(folder / "checksums.json", sums)
    except OSError as error:
        # no room on the disk, no permission
        raise UserError(f"{source}: {error}") from None


def obtain(descriptor: Path, folder: Path, key: str, downloads: Path, limits: Limits) -> None:
    """Fetch or make what the descriptor describes."""
    described = read_descriptor(descriptor)
    if isinstance(described, Published | HuggingFace):
        for path in fetch_all(_archives(described), downloads, limits=limits):
            with _opened(path, limits):
                _link(path, folder / path.name)
        return
    if isinstance(described, NoSet):
        if key == "detection":
            raise UserError(f"{descriptor} names no data; a detector needs a set with boxes")
        return
    if isinstance(described, SyntheticDetection):
        members = detection_members(described.recipe, workers=usable_cores())
    else:
        members = classification_members(described.recipe, workers=usable_cores())
    write_tar(folder / f"{descriptor.stem}.tar", progress(members, "synthetic files"))


def _archives(described: Published | HuggingFace) -> list[Archive]:
    if isinstance(described, Published):
        return described.archives
    return parquet_files(described.huggingface)


def _link(path: Path, target: Path) -> None:
    """Give the file a second name: a fetched archive needs no second copy on the disk."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)


def copy(source: Path, folder: Path, key: str, limits: Limits) -> None:
    """Copy an archive, or the archives of a folder; pack any other folder as one archive."""
    with _opened(source, limits) as files:
        archives = [source] if source.is_file() else archives_in(source)
        for archive in archives:
            shutil.copyfile(archive, folder / _name_of(archive))
        if not archives:
            # Straight from the disk: the file that describes a set may be larger than an image.
            members = ((name, source / name) for name in files.names())
            write_tar(folder / f"{key}.tar", progress(members, f"packing {source}"))


def _name_of(archive: Path) -> str:
    """What a copied archive is called; a numbered parquet file is of the split of its folder."""
    if archive.suffix.lower() != ".parquet":
        return archive.name
    split, shard = split_and_shard(archive)
    return f"{split}-{shard}.parquet" if shard else archive.name


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[Archives]:
    """The readable archive or folder at `path`, which has at least one file."""
    if path.is_file() and not path.name.lower().endswith(SUFFIXES):
        raise UserError(f"{path} is no archive by its name; read are {', '.join(SUFFIXES)}")
    with Archives(path, limits) as archives:
        if not archives.names():
            raise UserError(f"{path} holds no files; name an archive or a folder with data")
        yield archives


if __name__ == "__main__":
    run(main)
