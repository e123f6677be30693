"""Change one operator or number of a module at a time, and see whether a test notices.

    python tests/mutants.py yolo/detection/targets.py [--most 40] [--seed 0]

Works on a copy of the project, with the test beside the module and those that import it. A change
that no test notices is a missing test, or changes nothing that anybody sees.
"""

import argparse
import ast
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600
"""Of the tests with one change; one that never ends is noticed, too."""
OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class Mutator(ast.NodeTransformer):
    """Changes the place number `wanted`, and notes how."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.seen, self.change = wanted, 0, ""

    def visit(self, node: ast.AST) -> ast.AST:
        for new in self._changes(node):
            self.seen += 1
            if self.seen - 1 == self.wanted:
                before, after = (ast.unparse(one).splitlines()[0] for one in (node, new))
                self.change = f"line {getattr(node, 'lineno', 0)}: {before} → {after}"
                return ast.copy_location(new, node)
        # Annotations decide no result.
        if isinstance(node, ast.arg):
            return node
        for place in ("returns", "annotation"):
            if annotation := getattr(node, place, None):
                setattr(node, place, None)
                self.generic_visit(node)
                setattr(node, place, annotation)
                return node
        return self.generic_visit(node)

    def _changes(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
            yield _copy(node, op=OPERATORS[type(node.op)]())
        if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
            yield _copy(node, ops=[OPERATORS[type(node.ops[0])](), *node.ops[1:]])
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield ast.Constant(node.value + 1)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            yield node.operand
        if isinstance(node, ast.If):
            yield _copy(node, test=ast.UnaryOp(ast.Not(), node.test))


def _copy(node: ast.AST, **changes: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **changes})


def copy_project(folder: Path) -> None:
    """Copy what Git tracks or does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def tests_of(module: Path, project: Path) -> list[list[str]]:
    """The test beside the module; then those that import it, but for whole pipelines."""
    *parents, last = module.with_suffix("").parts
    package = re.escape(".".join(parents))
    imports = re.compile(
        rf"import {package}\.{last}\b|from {package}(\.{last}\b| import .*\b{last}\b)"
    )
    beside, others = [], []
    for path in sorted((project / "tests").rglob("test_*.py")):
        name = str(path.relative_to(project))
        if path.name == f"test_{last}.py" and path.parent.name == parents[-1]:
            beside.append(name)
        elif "pipeline" not in path.parts and imports.search(path.read_text()):
            others.append(name)
    return [tests for tests in (beside, others) if tests]


def is_noticed(tests: list[str], project: Path) -> bool:
    """Whether a test fails, or does not end."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=project,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> None:
    """Try the changes and print those that no test noticed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module", type=Path, help="path below the project's root")
    parser.add_argument("--most", type=int, default=40, help="changes to try, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = (ROOT / options.module).read_text()
    counter = Mutator(-1)
    counter.visit(ast.parse(source))
    count = min(options.most, counter.seen)
    chosen = sorted(random.Random(options.seed).sample(range(counter.seen), count))
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        tests = tests_of(options.module, project)
        names = ", ".join(chain(*tests))
        print(f"{count} of {counter.seen} changes; tests: {names}", flush=True)
        if not tests or any(is_noticed(group, project) for group in tests):
            sys.exit("error: no test imports the module, or the tests fail as it is")
        noticed = 0
        for number in chosen:
            mutator = Mutator(number)
            tree = ast.fix_missing_locations(mutator.visit(ast.parse(source)))
            (project / options.module).write_text(ast.unparse(tree))
            found = any(is_noticed(group, project) for group in tests)
            noticed += found
            print(f"{'noticed' if found else 'NOT NOTICED'}: {mutator.change}", flush=True)
    print(f"{noticed} of {count} changes noticed")


if __name__ == "__main__":
    main()
