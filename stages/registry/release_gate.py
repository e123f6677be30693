"""Judge what was trained: may it be released, as which version, and with which card?

    python -m stages.registry.release_gate MODEL patch|minor|major FILE

Writes the answer to FILE as JSON. It is a process of its own, because the comparison loads two
networks (onto the GPU if there is one) and the flow must be able to end it.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

from stages.common.entry import run
from yolo.errors import UserError

Bump = Literal["patch", "minor", "major"]


@dataclass(frozen=True)
class ReleaseDecision:
    """Whether and as what a model may be released."""

    tag: str | None
    """`detector@v0.1.1`; None: it may not be released."""
    reason: str
    card: str = ""
    """Path of the model card."""
    text: str = ""
    """Content of the card."""

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{f'released as {self.tag}' if self.tag else 'not released'}: {self.reason}"


def decide(model: str, bump: Bump, root: Path) -> ReleaseDecision:
    """Compare the weights of `model` (an artifact of `dvc.yaml`) with its newest version.

    A detector must pass the gate (`promotion` in `params.yaml`). Other models have no gate.

    Args:
        model: Name of the artifact.
        bump: The number of the newest version (v0.0.0 if there is none) to raise.
        root: The project, and the current folder.

    Raises:
        UserError: There are no weights, or the comparison is impossible.
    """
    from stages.registry.model_card import render
    from stages.registry.promotion import compare_with_released
    from stages.registry.versions import expect_artifact, released
    from yolo.files import digest
    from yolo.versions import fetch

    weights = Path(expect_artifact(model))
    if not weights.is_file():
        raise UserError(f"{weights} does not exist; `dvc pull {weights}` fetches it")
    versions = released(root, model)
    newest = versions[-1] if versions else None
    if newest and newest.weights_hash == digest(weights, "md5"):
        return ReleaseDecision(None, f"{weights} is {newest.tag} already, byte for byte")
    reason = "no gate: only detectors are compared"
    if model == "detector":
        before = fetch(newest.tag, root) if newest else None
        comparison = compare_with_released(
            before, weights, name=newest.tag if newest else "released"
        )
        if not comparison.promoted:
            return ReleaseDecision(None, comparison.reason)
        reason = comparison.reason
    version = _next(newest.version if newest else "v0.0.0", bump)
    text = render(model, version, weights, reason)
    return ReleaseDecision(f"{model}@{version}", reason, f"cards/{model}-{version}.md", text)


def _next(version: str, bump: Bump) -> str:
    from gto.versions import SemVer

    return SemVer(version).bump(**{f"bump_{bump}": True}).version


def main() -> None:
    """Run as a command."""
    from yolo.files import write_json

    model, bump, answer = sys.argv[1:]
    decision = decide(model, cast(Bump, bump), Path.cwd())
    write_json(Path(answer), asdict(decision))
    print(decision.reason)


if __name__ == "__main__":
    run(main)
