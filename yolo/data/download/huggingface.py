"""List the parquet files of a data set on Hugging Face, each with its checksum."""

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from yolo.data.download.descriptor import Archive, Revision
from yolo.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def hub_api(endpoint: str | None = None) -> "HfApi":
    """The Hub's own client, which sends no telemetry; `endpoint` None: the public Hub."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint)


def parquet_files(dataset: Revision, endpoint: str | None = None) -> list[Archive]:
    """Return what `fetch` needs to fetch them: address, SHA-256 and size of each.

    Raises:
        UserError: no such data set or revision, no parquet file in it, no answer.
    """
    api = hub_api(endpoint)
    from huggingface_hub import hf_hub_url

    where = f"Hugging Face data set {dataset.repo} at {dataset.revision}"
    try:
        about = api.dataset_info(
            dataset.repo, revision=dataset.revision, files_metadata=True, timeout=60
        )
    except Exception as error:
        # errors of the HTTP library underneath come through as they are
        raise UserError(
            f"{where} could not be listed: {error}\nCheck repo and revision in the descriptor and "
            "the network; what has been fetched is kept."
        ) from None
    archives = [
        Archive(
            name=PurePosixPath(file.rfilename).name,
            urls=[
                hf_hub_url(
                    dataset.repo,
                    file.rfilename,
                    repo_type="dataset",
                    revision=dataset.revision,
                    endpoint=endpoint,
                )
            ],
            sha256=file.lfs.sha256 if file.lfs else None,
            size=file.size,
        )
        for file in about.siblings or []
        if file.rfilename.endswith(".parquet")
    ]
    if not archives:
        raise UserError(f"{where} has no parquet files; name another data set or revision")
    if len({archive.name for archive in archives}) < len(archives):
        raise UserError(f"{where} has several configurations, which are not told apart")
    return sorted(archives, key=lambda archive: archive.name)
