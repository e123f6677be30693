"""The model card of a release: what the model is, how good it is, its data, its intended use.

A card is made of the files of the tagged commit alone, so the same commit gives the same card.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stages.registry.card_head import TrainedOn, head
from stages.registry.versions import DATA, data_source, out_hashes, percent
from yolo.data.download.descriptor import is_descriptor
from yolo.files import digest
from yolo.nested import flatten
from yolo.params.base import PARAMS_FILE, read_document

REPORTS = Path("reports")
LOCK = Path("dvc.lock")


def render(model: str, version: str, weights: Path, verdict: str) -> str:
    """Return the card as Markdown with a YAML head; `verdict`: what the gate said."""
    from yolo.model.network.weights import read, read_card

    environment = Environment(
        loader=PackageLoader("stages.registry"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Markdown, not HTML: nothing in it is executed
        autoescape=False,
    )
    environment.filters |= {"percent": percent, "thousands": lambda value: f"{value:,}"}
    card = read_card(weights)
    params = read_document(PARAMS_FILE)
    hashes = out_hashes(LOCK.read_text(encoding="utf-8"))
    tensors, _ = read(weights)
    # in the weights file of a backbone this is their number; in published weights it is absent
    own = card.get("parameters")
    trained = own if isinstance(own, Mapping) else params.get("pretrain", {})
    scores = _details("evaluate") if model == "detector" else None
    trained_as = _details("pretrain")
    sets = [_data(params, clean, hashes) for clean in _sets(model)]
    sets = [own for own in sets if own.has_data]
    yaml = head(
        model,
        version,
        [TrainedOn(own.identifier, own.title, own.licence) for own in sets],
        scores,
        trained_as.get("top1"),
        published_start=params["pretrain"]["weights"]["source"] is not None,
    )
    return yaml + environment.get_template("model_card.md").render(
        model=model,
        version=version,
        tag=f"{model}@{version}",
        verdict=verdict,
        card=card,
        classes=card.get("classes", []),
        numbers=sum(tensor.numel() for tensor in tensors.values()),
        path=weights.as_posix(),
        size=weights.stat().st_size,
        sha256=digest(weights),
        md5=hashes[weights.as_posix()],
        scores=scores,
        trained_as=trained_as,
        sets=sets,
        sources=sorted((card.get("data") or {}).items()),
        parameters=_rows(trained),
        evaluation=_rows(params["evaluate"], "evaluate"),
    )


def _sets(model: str) -> list[str]:
    """The clean sets of a model; a detector was also trained on the backbone's data."""
    return [DATA["detector"], DATA["backbone"]] if model == "detector" else [DATA[model]]


def _data(params: Mapping[str, Any], clean: str, hashes: Mapping[str, str]) -> SimpleNamespace:
    """What is known about one data set; its descriptor states the licence."""
    name = Path(clean).name
    source = Path(data_source(dict(params), clean))
    described = read_document(source) if is_descriptor(source) and source.is_file() else {}
    counts = _details(f"validate/{name}")
    return SimpleNamespace(
        name=name,
        has_data="none" not in described,
        identifier=described.get("huggingface", {}).get("repo") or _identifier(source),
        source=source.as_posix(),
        title=described.get("title", source.name),
        licence=described.get("licence", "not stated; ask whoever made the data"),
        raw=hashes.get(f"data/raw/{name}"),
        clean=hashes.get(clean),
        images={
            split: own["images"]
            for split, own in sorted(counts.items())
            if isinstance(own, dict) and "images" in own
        },
        rejected=counts.get("rejected", {}),
    )


def _identifier(source: Path) -> str:
    """The name of a source, in the characters that the Hub allows."""
    return re.sub(r"[^\w.-]+", "-", source.stem).strip("-.") or "data"


def _details(stage: str) -> dict[str, Any]:
    path = REPORTS / stage / "details.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _rows(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted names and values as JSON, sorted by name."""
    return sorted(
        (name, json.dumps(value, ensure_ascii=False)) for name, value in flatten(values, above)
    )
