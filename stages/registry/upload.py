"""Publish a released model on the Hugging Face Hub: its weights, its card, its version as a tag."""

import os
import re
from typing import TYPE_CHECKING

from stages.registry.card_head import LICENCE_FILE
from stages.registry.verify import verify
from yolo.data.download.huggingface import hub_api
from yolo.errors import UserError
from yolo.published import hub_endpoint, hub_reason, parse_repository
from yolo.versions import parse

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WEIGHTS = "model.safetensors"
"""Name of the weights on the Hub; `yolo.load("hf:ORG/NAME@v1.2.0")` finds them."""


def publish(tag: str, target: str) -> str:
    """Upload a version of the project in the current folder; return how to load it.

    `HF_ENDPOINT` and `HF_TOKEN` count as for the Hub's own library. A repository that is not there
    is made. What is there already is not sent again.

    Args:
        tag: `detector@v1.2.0`. Its parts must agree, see `verify`.
        target: `hf:ORG/NAME`.

    Raises:
        UserError: There is no such version, its parts differ, the Hub refuses or does not answer,
            or the repository has other weights as this version.
    """
    repository, revision = parse_repository(target)
    if revision is not None:
        raise UserError(f"{target} names a revision; the version of {tag} becomes the revision")
    version = parse(tag).version
    if version is None:
        raise UserError(f"{tag} is no version; write for example {tag}@v1.0.0")
    found = verify(tag)
    # Git LFS, not Xet: every server of the Hub's protocol speaks it, and a detector is small
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    api = hub_api(hub_endpoint())
    from huggingface_hub import CommitOperationAdd

    loadable = f'yolo.load("hf:{repository}@{version}")'
    try:
        held = _held(api, repository, version)
        if held == found.sha256:
            return f"{tag} is there already: {loadable}"
        if held is not None:
            raise UserError(
                f"{target} has other weights as {version} (SHA-256 {held}); publish {tag} in "
                "another repository"
            )
        api.create_repo(repository, exist_ok=True)
        files: dict[str, str | bytes] = {
            WEIGHTS: str(found.copies[0]),
            "README.md": found.text.encode(),
        }
        if f"license_link: {LICENCE_FILE}" in found.text:
            files[LICENCE_FILE] = _licence(found.text).encode()
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(name, file) for name, file in files.items()],
            commit_message=f"Release {tag}",
        )
        api.create_tag(repository, tag=version, revision=commit.oid, tag_message=tag)
    except UserError:
        raise
    except Exception as error:
        # errors of the HTTP library underneath come through as they are
        raise UserError(f"{tag} is not published on {target}: {hub_reason(error)}") from None
    return f"{tag} is published: {loadable}"


def _held(api: "HfApi", repository: str, version: str) -> str | None:
    """SHA-256 of the weights that the repository has as `version`; None: it has none."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        about = api.model_info(repository, revision=version, files_metadata=True)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None
    files = {file.rfilename: file.lfs for file in about.siblings or []}
    weights = files.get(WEIGHTS)
    return weights.sha256 if weights else "none"


def _licence(card: str) -> str:
    """What the card says of the data, whose licences count."""
    data = re.search(r"^## Data\n(.*?)(?=^## )", card, re.MULTILINE | re.DOTALL)
    return (
        "# Licence\n\nThe weights have no licence of their own beyond the licences of what they "
        f"were trained on:\n{data[1] if data else ''}"
    )
