"""Judge what a run trained: may it be released, as which version, and with which card?

    python -m stages.candidate MODEL patch|minor|major FILE

The answer becomes FILE, JSON. A process of its own: the comparison loads two networks, where there
is a GPU onto it, and the flow that asks must be able to end it.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.entry import run
from yolo.errors import UserError


@dataclass(frozen=True)
class Verdict:
    """What a run's model may become."""

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


def judge(model: str, bump: str, root: Path) -> Verdict:
    """Compare the weights of `model` in `root`, the current folder, with its newest version.

    Raises:
        UserError: As `stages.release.release`, and when there are no weights.
    """
    from stages.card import render
    from stages.models import expect_artifact, released
    from stages.release import card_path, gate, next_version

    weights = Path(expect_artifact(model))
    if not weights.is_file():
        raise UserError(f"{weights} does not exist; `dvc pull {weights}` fetches it")
    versions = released(root, model)
    newest = versions[-1] if versions else None
    decision = gate(model, weights, newest, root)
    if not decision.promoted:
        return Verdict(None, decision.reason)
    version = next_version(newest.version if newest else None, bump)
    text = render(model, version, weights, decision.reason)
    tag = f"{model}@{version}"
    return Verdict(tag, decision.reason, card_path(tag).as_posix(), text)


def main() -> None:
    """Run as a command."""
    from yolo.files import write_json

    model, bump, answer = sys.argv[1:]
    verdict = judge(model, bump, Path.cwd())
    write_json(Path(answer), asdict(verdict))
    print(verdict.reason)


if __name__ == "__main__":
    run(main)
