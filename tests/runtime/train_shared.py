"""A small training whose states go to a store: `train_shared.py FOLDER RUN OUT [kill|term AT]`.

`YOLO_RUNS` says where. FOLDER stands for the machine; OUT gets the weights. With `kill` the process
kills itself at update AT, once a state is in the store; with `term` it is told to stop there.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small_task import OPTIMISATION, Regression

from yolo.errors import Stopped, UserError
from yolo.runtime.settings import from_environment
from yolo.runtime.state_store import StateStore
from yolo.runtime.state_upload import StateUploader, shared_states
from yolo.training.monitoring.tracking import Tracker
from yolo.training.trainer.checkpoint import StateFolder, updates_of
from yolo.training.trainer.trainer import Trainer


def main() -> int:
    runs, run, out, *kill = sys.argv[1:]
    settings = from_environment()
    # a day's rhythm in seconds
    StateUploader.__init__.__kwdefaults__.update(lease=2.0)
    StateStore.__init__.__kwdefaults__.update(lease=2.0)
    folder = StateFolder(Path(runs) / "small", run)

    def happening(update):
        if kill and kill[0] == "kill" and update == int(kill[1]):
            store = StateStore(settings.states, f"small/{run}", "00000000")
            while not store._names(".json"):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        if kill and kill[0] == "term" and update == int(kill[1]):
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with shared_states(settings, "small", folder.state, updates_of) as shared:
            trainer = Trainer(
                Regression(happening),
                OPTIMISATION,
                seed=1,
                validate_every=5,
                folder=folder,
                runtime=settings,
                tracker=Tracker(folder.path, "disabled", "test", {}),
            )
            result = trainer.run("last")
            torch.save(result.weights, out)
            folder.finish()
            if shared is not None:
                shared.finish()
    except Stopped as stopped:
        return stopped.status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
