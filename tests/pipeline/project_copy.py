"""Copies of the project with a tiny preset, in repositories of their own, run by the real DVC."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from stages.project import preset

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).parent / "tiny"
SETTINGS = {
    "DVC_NO_ANALYTICS": "1",
    "YOLO_TRACKING": "disabled",
    "YOLO_DEVICE": "cpu",
    "YOLO_THREADS": "1",
    # DVC runs commands by the user's shell
    "SHELL": "/bin/sh",
}


class Project:
    """A copy of the project's files; commands run there with this interpreter's programs."""

    def __init__(self, root: Path):
        self.root = root

    def run(self, *command: str, ok: bool = True, **environment: str) -> str:
        """Run a command; return what it printed, standard error too."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | SETTINGS | {"PATH": path} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ok and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        if not ok and not done.returncode:
            raise AssertionError(f"{command} should have failed:\n{done.stdout}")
        return done.stdout

    def repro(self, *arguments: str, **environment: str) -> dict[str, str]:
        """Run `dvc repro`; return what DVC did with each stage: ran, restored, unchanged."""
        return verdicts(self.run("dvc", "repro", *arguments, **environment))

    def git(self, *arguments: str) -> str:
        """Run Git with a made-up author."""
        who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        return self.run("git", *who, *arguments)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "State")

    def change(self, key: str, value: object) -> None:
        """Set one key of `params.yaml`, `detect_train.seed` for example."""
        yaml = YAML()
        path = self.root / "params.yaml"
        document = yaml.load(path)
        *above, last = key.split(".")
        block = document
        for name in above:
            block = block[name]
        assert last in block
        block[last] = value
        yaml.dump(document, path)

    def stale(self) -> set[str]:
        """Names of the stages that `dvc status` names."""
        from dvc.repo import Repo

        with chdir(self.root), Repo() as repo:
            return set(repo.status())

    @contextmanager
    def status(self) -> Iterator[Callable[[], set[str]]]:
        """Ask the same again and again, while `dvc.yaml`, which takes DVC longest, is read once."""
        from dvc.repo import Repo

        with chdir(self.root), Repo() as repo, repo.lock:
            stages = repo.index.stages
            yield lambda: {stage.addressing for stage in stages if stage.status()}

    def content(self, *patterns: str) -> dict[str, bytes]:
        """Content of the files that match, by path."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for pattern in patterns
            for path in sorted(self.root.glob(pattern))
            if path.is_file()
        }


VERDICTS = {
    "Running stage '": "ran",
    "' is cached - skipping run": "restored",
    "' didn't change, skipping": "unchanged",
}


def verdicts(output: str) -> dict[str, str]:
    found = {}
    for line in output.splitlines():
        for text, verdict in VERDICTS.items():
            if text in line and "tage '" in line:
                found[line.split("'")[1]] = verdict
    return found


def copy_of_project(root: Path) -> Project:
    """Copy what Git would, put the tiny preset in place, commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    (root / "dvc.lock").unlink(missing_ok=True)
    shutil.copyfile(TINY / "tiny.yaml", root / "presets" / "tiny.yaml")
    for descriptor in TINY.glob("tiny-*.yaml"):
        shutil.copyfile(descriptor, root / "sources" / descriptor.name)
    preset.write("tiny", root / "presets", root / "params.yaml")
    project = Project(root)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit()
    return project
