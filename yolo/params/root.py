"""The whole of `params.yaml`, checked before any stage works.

A stage reads only its own keys; this check also catches a wrong or unknown key of a stage that
comes hours later. It can only stop a run, never change its bytes, so no stage depends on it.
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from yolo.params.base import PARAMS_FILE, Block, parse, read_document
from yolo.params.data import Data
from yolo.params.detect_train import DetectTrain
from yolo.params.evaluate import Evaluate
from yolo.params.limits import Limits
from yolo.params.model import Model
from yolo.params.pretrain import Pretrain
from yolo.params.promotion import Promotion
from yolo.params.validate import Validate


class Params(Block):
    """Every block of `params.yaml`."""

    data: Data
    limits: Limits
    model: Model
    # `validate` itself is a method of every pydantic model
    validate_: Validate = Field(alias="validate")
    pretrain: Pretrain
    detect_train: DetectTrain
    evaluate: Evaluate
    promotion: Promotion


def check(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read the file and raise `UserError` when any key of any block is wrong; return it raw."""
    document = read_document(path)
    parse(Params, document, str(path))
    return document
