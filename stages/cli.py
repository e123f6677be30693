"""The command `yolov1`: the library's commands and those of the pipeline."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from yolo.cli import app, run
from yolo.commands.console import Json, print_json
from yolo.commands.score import SplitName, print_comparison


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="A file of presets/ without its ending.")],
) -> None:
    """Rewrite params.yaml from a preset; `git diff` shows what changed."""
    from stages.project.preset import write

    write(name)
    print(f"params.yaml now holds the preset {name}; `yolov1 why` shows which stages are stale")


@app.command()
def init(
    source: Annotated[
        Path, typer.Argument(metavar="PATH", help="Images with boxes: a folder or an archive.")
    ],
    classification: Annotated[
        Path | None, typer.Option(help="A set of classes to pre-train on; default: the preset's.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Rewrite params.yaml; otherwise only show the plan.")
    ] = False,
) -> None:
    """Check a set with boxes and propose a params.yaml that trains on it."""
    from stages.project.init import PRESET, propose
    from yolo.commands.check import lines

    proposal = propose(source, classification)
    print("\n".join(lines(proposal.report)))
    model = proposal.changes["model"]
    print(f"plan: preset {PRESET} with data.detection.source {source},")
    print(f"  model.input_size {model['input_size']} and model.grid {model['grid']}:")
    print(f"  {proposal.reason}")
    if write:
        proposal.write()
        print("params.yaml is written; `dvc repro` trains")
    else:
        print("nothing is written; `--write` rewrites params.yaml")


@app.command()
def why(
    stages: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]…", help="Default: all stages.")
    ] = None,
) -> None:
    """Show which stages are stale, what changed, and what they took last time."""
    from stages.registry import ledger
    from stages.repro.plan import read_plan

    plan = read_plan(stages or ())
    took = {name: ledger.words(row) for name, row in ledger.last_of_stages(plan.root).items()}
    print(plan.table(took))


@app.command()
def remote(
    url: Annotated[str, typer.Argument(help="A folder, s3://, ssh://, http:// or https://.")],
    endpoint: Annotated[
        str | None, typer.Option(help="Address of S3-compatible storage that is not Amazon's.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Private key file for SSH.")] = None,
) -> None:
    """Make a folder or server the project's DVC remote, for push and pull.

    Settings go to .dvc/config, which Git tracks; passwords and key files to .dvc/config.local.
    """
    from stages.registry.remote import describe, set_up

    described = describe(url, endpoint, key)
    set_up(described)
    print(f"the remote is now {described.shared['url']}; commit .dvc/config, then `dvc push`")


@app.command()
def pull(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH|STAGE]…", help="Default: every out.")
    ] = None,
) -> None:
    """Fetch outs from the remote; the workspace changes only after all have arrived intact."""
    from stages.registry.pull import pull as pull_outs

    changed = pull_outs(targets or ())
    print("\n".join(changed) if changed else "everything is already here")


@app.command()
def release(
    model: Annotated[str, typer.Argument(help="An artifact of dvc.yaml: detector, backbone.")],
    bump: Annotated[str, typer.Option(help="The number to raise: major, minor or patch.")],
) -> None:
    """Judge a model, push its bytes, write its model card, tag the commit."""
    from stages.registry.release import release as release_model

    done = release_model(model, bump)
    print(f"{done.tag}: {done.reason}")
    print(f"card: {done.card}; `git push --follow-tags` publishes the version")


@app.command()
def runs(
    baseline: Annotated[
        str, typer.Option(help="Experiment, commit, branch or tag to compare with.")
    ] = "HEAD",
    as_json: Json = False,
) -> None:
    """List experiments, branches runs/* and tags: what they changed, gained and cost.

    Runs that differ in seeds alone are one row: mean ± standard deviation. `compare` shows two runs
    class by class.
    """
    from stages.registry.runs import rows, table

    found = rows(baseline)
    if as_json:
        print_json([asdict(row) for row in found])
    else:
        print(table(found))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="As B.")],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Folder of detection files, experiment, commit, branch or tag."
        ),
    ],
    annotations: Annotated[
        Path | None,
        typer.Option(help="A data set with boxes of any layout; default: the clean test split."),
    ] = None,
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Compare two detectors on the same images: B - A with its 95 % interval.

    The detections of an experiment, commit, branch or tag come from DVC's cache.
    """
    from stages.registry.runs import detections_of

    known, (of_a, of_b) = detections_of((a, b), annotations, split)
    print_comparison(known, of_a, of_b, as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the released models with score, data and date."""
    from stages.registry.versions import released, table

    found = released()
    if as_json:
        print_json([{"tag": own.tag, **asdict(own)} for own in found])
    else:
        print(table(found))


@app.command()
def card(
    model: Annotated[
        str, typer.Argument(metavar="FILE|NAME@VERSION", help="A weights file or a released model.")
    ],
    as_json: Json = False,
) -> None:
    """Show what weights were made of: parameters, data, code, commit, score, device, time."""
    from stages.registry.origin import origin, text
    from yolo.hub import find

    own = origin(find(model))
    if as_json:
        print_json(asdict(own))
    else:
        print(text(own))


@app.command()
def verify(
    model: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="detector@v1.2.0.")],
    file: Annotated[
        Path | None, typer.Argument(help="Also check this copy of the weights.")
    ] = None,
) -> None:
    """Compare tag, dvc.lock, model card and bytes of a released model; fail if one differs."""
    from stages.registry.verify import report
    from stages.registry.verify import verify as verify_version

    print(report(verify_version(model, file)))


@app.command()
def publish(
    model: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="detector@v1.2.0.")],
    target: Annotated[str, typer.Argument(metavar="hf:ORG/NAME", help="Repository on the Hub.")],
) -> None:
    """Upload a released model and its card to the Hugging Face Hub (HF_ENDPOINT, HF_TOKEN)."""
    from stages.registry.upload import publish as publish_version

    print(publish_version(model, target))


@app.command()
def fetch(
    model: Annotated[
        str,
        typer.Argument(
            help="detector@v1.2.0, detector for the newest, hf:ORG/NAME@REV, or "
            "https://HOST/FILE#sha256=DIGEST."
        ),
    ],
    repo: Annotated[
        str | None, typer.Option(help="Folder or Git address of the project; default: this one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Copy the file here; default: only print its path.")
    ] = None,
) -> None:
    """Fetch the weights of a released or published model and check their hash."""
    from yolo.files import replacing
    from yolo.published import fetch_model

    path = fetch_model(model, repo)
    if out is not None:
        with replacing(out) as temporary:
            shutil.copyfile(path, temporary)
    print(out or path)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
