"""How every stage starts and fails: parameters checked first, errors without a traceback."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from yolo.errors import Stopped, UserError
from yolo.params.base import View, parse

Inputs = TypeVar("Inputs", bound=View)


def read_inputs(view: type[Inputs]) -> Inputs:
    """Check the whole of `params.yaml`, then return the keys that this stage reads."""
    from yolo.params.root import check

    return parse(view, check())


def run(stage: Callable[[], None]) -> NoReturn:
    """Call the stage; print what the user must know and exit with the status it deserves.

    Of several processes that share a training the first speaks.
    """
    is_first = os.environ.get("RANK", "0") == "0"
    try:
        stage()
    except UserError as error:
        if is_first:
            print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        if is_first and str(stopped):
            print(stopped, file=sys.stderr)
        sys.exit(stopped.status)
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    sys.exit(0)
