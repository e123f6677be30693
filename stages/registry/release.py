"""Release a model: judge it, push its bytes, write its card, tag the commit.

The tag comes last. So no version exists that cannot be fetched, whatever goes wrong before. The
next try finds a push or a card that is already there and goes on.
"""

from pathlib import Path
from typing import cast, get_args

from stages.registry.release_gate import Bump, ReleaseDecision, decide
from stages.registry.remote import default_remote
from stages.registry.versions import STAGES_OF_RELEASE, expect_artifact
from stages.repro.git import git
from stages.repro.plan import message, read_plan
from yolo.errors import UserError
from yolo.files import replacing


def release(model: str, bump: str) -> ReleaseDecision:
    """Release `model` (an artifact of `dvc.yaml`) as the version after the newest; return why.

    Raises `UserError`, and no version comes into being, on a dirty tree, results that are not those
    of the code, data and parameters, a missing remote, a failed push, weights that are released
    already, and a detector that does not pass the gate (`promotion` in `params.yaml`).
    """
    if bump not in get_args(Bump):
        raise UserError(f"--bump {bump} is none of {', '.join(get_args(Bump))}")
    root = _root()
    expect_artifact(model)
    _refuse_dirty(root)
    git("var", "GIT_COMMITTER_IDENT", root=root)
    _refuse_missing_remote()
    _refuse_stale()
    decision = decide(model, cast(Bump, bump), root)
    if decision.tag is None:
        raise UserError(f"{model} is not released: {decision.reason}")
    _push(model)
    card, version = Path(decision.card), decision.tag.partition("@")[2]
    with replacing(card) as temporary:
        temporary.write_text(decision.text, encoding="utf-8")
    git("add", "--", str(card), root=root)
    if git("status", "--porcelain", root=root):
        git("commit", "--quiet", "--message", f"Release {model} {version}", root=root)
    _tag(model, version, root)
    return decision


def _root() -> Path:
    """The project's root, which is the current folder."""
    if not Path("dvc.yaml").is_file() or not Path(".dvc").is_dir():
        raise UserError("this folder is no project; go to the folder that has dvc.yaml")
    return Path.cwd()


def _refuse_dirty(root: Path) -> None:
    changed = git("status", "--porcelain", root=root).splitlines()
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            "a version must be a commit, and these files are not committed: "
            f"{', '.join(line[3:] for line in changed[:5])}{more}"
        )


def _refuse_missing_remote() -> None:
    if default_remote() is None:
        raise UserError("there is no remote to push to; `make remote URL=...` sets one up")


def _refuse_stale() -> None:
    """Refuse results that are out of date. Outs that were not pulled are fine: see `dvc.lock`."""
    reasons = [
        f"{stage.name} ({change})"
        for stage in read_plan().stages
        for change in stage.changes
        if not (change.kind in ("out", "data") and change.how == "missing")
    ]
    if reasons:
        more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        raise UserError(
            f"dvc.lock is out of date: {'; '.join(reasons[:3])}{more}. "
            "`dvc repro`, commit, then release"
        )


def _push(model: str) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            repo.push(list(STAGES_OF_RELEASE[model]))
    except DvcException as error:
        raise UserError(
            f"{message(error)}. Nothing was released; docs/remotes.md says what each fault needs"
        ) from None


def _tag(model: str, version: str, root: Path) -> None:
    from gto import api
    from gto.exceptions import GTOException

    try:
        api.register(root, model, "HEAD", version=version, message=f"{model} {version}")
    except GTOException as error:
        raise UserError(f"the tag {model}@{version} cannot be set: {error}") from None
