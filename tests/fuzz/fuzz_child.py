"""Read damaged files under limits: `python fuzz_child.py COUNT FOLDER MODULE.READER=FIRST...`.

Prints a line for each case that is neither read nor refused with a `UserError`. FOLDER/case names
the case under way, for whoever sees this process die.
"""

import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from byte_mutations import mutated

from yolo.errors import UserError

SECONDS = 5
"""Of processor time for one case, so that a busy machine does not count."""
MEMORY = 1 << 30
"""Bytes of address space beyond what the imports and the valid files take."""
LONGEST_MESSAGE = 4000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main(count: int, folder: Path, starts: list[str]) -> None:
    """Read cases up to `count` with each reader; `starts` are `MODULE.READER=FIRST`."""
    os.chdir(folder / "work")
    sys.dont_write_bytecode = True
    outside: list[str] = []
    temporary = folder / "tmp"
    sys.addaudithook(lambda event, args: _note_writes(event, args, folder, outside))
    for start in starts:
        name, first = start.split("=")
        module, function = name.split(".")
        reader = getattr(importlib.import_module(module), function)()
        for number, seed in enumerate(reader.seeds):
            reader.read(number, seed)
        # What the valid files left is a cache of their libraries.
        _emptied(temporary)
        _limit_memory()
        outside.clear()
        for case in range(int(first), count):
            (folder / "case").write_text(f"{name}={case}")
            rng = random.Random(f"{name} {case}")
            number = rng.randrange(len(reader.seeds))
            data = mutated(reader.seeds[number], rng)
            problems = [_read(partial(reader.read, number, data)), *map(_written, outside)]
            outside.clear()
            problems += [f"left {name} in the temporary folder" for name in _emptied(temporary)]
            for problem in filter(None, problems):
                print(json.dumps(f"{name} {case}: {problem}"), flush=True)


def _read(read: Callable[[], object]) -> str | None:
    """What is wrong with how a damaged file was read."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read()
    except UserError as error:
        if len(str(error)) > LONGEST_MESSAGE:
            return f"a message of {len(str(error))} characters: {str(error)[:200]}"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return f"{type(error).__name__}: {str(error)[:200]} at {where}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _emptied(folder: Path) -> list[str]:
    """Names of what lay in the folder."""
    names = [path.name for path in folder.iterdir()]
    for name in names:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return names


def _written(path: str) -> str:
    return f"wrote outside: {path}"


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _note_writes(event: str, args: tuple, folder: Path, refused: list[str]) -> None:
    if event == "open" and isinstance(args[0], str) and args[2] & _WRITES:
        if not os.path.realpath(args[0]).startswith((str(folder), "/dev/null")):
            refused.append(args[0])
    elif event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"):
        refused.append(event)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
