"""Cut the classification layers off the pre-trained classifier."""

from pathlib import Path

from stages.common.entry import run
from yolo.files import write_json
from yolo.model.backbone import extract

CLASSIFIER = Path("models/classifier.safetensors")
BACKBONE = Path("models/backbone.safetensors")
DETAILS = Path("reports/extract_backbone/details.json")


def main() -> None:
    """Read the classifier, write the backbone and what it consists of."""
    summary = extract(CLASSIFIER, BACKBONE)
    write_json(DETAILS, summary)
    print(
        f"{BACKBONE}: {summary['layers']} convolutions, {summary['parameters']:,} parameters, "
        f"stride {summary['stride']}"
    )


if __name__ == "__main__":
    run(main)
