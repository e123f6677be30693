"""A project with one released detector, small enough to be made for each test."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stages.registry.card_head import TrainedOn, head
from yolo.model.detector.detector import DetectorSpec, build_detector, save_detector

TAG = "detector@v1.0.0"
CARD = "cards/detector-v1.0.0.md"
WEIGHTS = "models/detector.safetensors"
SPEC = DetectorSpec("nano", 0.25, 64, 4, 2, ("disc", "square"))
SCORES = {"voc07_map": 0.5, "interval_95": {"voc07_map": {"low": 0.4, "high": 0.6}}}


@dataclass
class Release:
    """The project, which is the current folder; its weights are in the workspace alone."""

    root: Path
    weights: Path
    card: Path

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "State")

    def retag(self) -> None:
        self.git("tag", "--force", "--annotate", "--message", TAG, TAG)

    def lock(self, md5: str) -> None:
        (self.root / "dvc.lock").write_text(
            "stages:\n  detect_train:\n    deps:\n    - {path: data/clean/detection, md5: aa.dir}\n"
            f"    outs:\n    - {{path: {WEIGHTS}, md5: {md5}}}\n"
        )

    @property
    def md5(self) -> str:
        return hashlib.md5(self.weights.read_bytes()).hexdigest()


def release_in(root: Path) -> Release:
    """Make the project in a new folder."""
    made = Release(root, root / WEIGHTS, root / CARD)
    for folder in (".dvc", "cards", "models", "reports/evaluate"):
        (root / folder).mkdir(parents=True)
    save_detector(made.weights, build_detector(SPEC, seed=1))
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (root / ".dvc/.gitignore").write_text("/cache\n/tmp\n")
    (root / ".gitignore").write_text("*.safetensors\n")
    (root / "dvc.yaml").write_text(f"artifacts:\n  detector:\n    path: {WEIGHTS}\n")
    made.lock(made.md5)
    sets = [TrainedOn("shapes", "A few shapes", "photos under many licences")]
    yaml = head("detector", "v1.0.0", sets, SCORES, None, published_start=False)
    sha = hashlib.sha256(made.weights.read_bytes()).hexdigest()
    made.card.write_text(
        f"{yaml}# {TAG}\n\n## Data\n\n- shapes: photos under many licences\n\n## Weights\n\n"
        f"- SHA-256 `{sha}`\n- MD5 `{made.md5}` (its name in the DVC remote)\n"
    )
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit()
    made.retag()
    return made
