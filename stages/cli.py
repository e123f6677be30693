"""The command `yolov1`: the library's commands and those of the pipeline."""

from typing import Annotated

import typer

from stages import commands
from yolo.cli import app, run

app.add_typer(commands.app)


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="A file of presets/ without its ending.")],
) -> None:
    """Rewrite params.yaml from a preset; `git diff` shows what changed."""
    from stages.project.preset import write

    write(name)
    print(f"params.yaml is now that of preset {name}; `yolov1 why` shows what it makes stale")


@app.command()
def why(
    stages: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]…", help="Default: all stages.")
    ] = None,
) -> None:
    """Show which stages are stale and what changed."""
    from stages.repro.plan import read_plan

    print(read_plan(stages or ()).table())


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
