"""Read `params.yaml` and turn parts of it into typed objects, with errors that name the key."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolo.errors import UserError

PARAMS_FILE = Path("params.yaml")

Model = TypeVar("Model", bound=BaseModel)


class Block(BaseModel):
    """A strict block of `params.yaml`: no unknown key, no conversion between types, no change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class View(BaseModel):
    """The keys of `params.yaml` that one stage reads, and no others.

    Each field names its key by a validation alias (`Field(validation_alias=AliasPath(...))`);
    a test holds these keys against the `params` that `dvc.yaml` declares for the stage.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


def read_document(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Parse a YAML 1.2 file (as DVC does) whose top level is a mapping."""
    try:
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist here ({Path.cwd()}); "
            "run in the project's root, or write one with `yolov1 preset demo`"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must be a mapping of blocks, not {type(document).__name__}")
    return document


def parse(model: type[Model], document: Mapping[str, Any], name: str = str(PARAMS_FILE)) -> Model:
    """Validate `document`; raise `UserError` listing each wrong key, its value, what is allowed."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [_explain(problem, model) for problem in error.errors(include_url=False)]
        raise UserError("\n".join(f"{name}: {line}" for line in lines)) from None


def _explain(problem: Any, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        fields = ", ".join(_fields_at(model, problem["loc"][:-1]))
        return f"unknown key {key} (value {problem['input']!r}); allowed here: {fields}"
    if problem["type"] == "missing":
        return f"missing key {key}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    value = problem["input"]
    if problem["type"] == "string_type" and isinstance(value, bool | int | float | date):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        message = f'should be text: write it in quotes ("{text}"), which YAML needs here'
    return f"{key} is {value!r}; it {message}"


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        field = {f.alias or name: f for name, f in model.model_fields.items()}.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            return []
        if not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return [field.alias or name for name, field in model.model_fields.items()]
