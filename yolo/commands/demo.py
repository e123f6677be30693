"""Serve a web page to try a detector."""

from typing import Annotated, Literal

import typer

from yolo.commands.weights_option import Released, Repo, Weights, weights_file

app = typer.Typer()


@app.command()
def demo(
    weights: Weights = None,
    model: Released = None,
    repo: Repo = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    backend: Annotated[
        Literal["torch", "onnx"], typer.Option(help="What runs the network, as for predict.")
    ] = "torch",
) -> None:
    """Serve a page to try a detector: drop an image, move the thresholds, see boxes and cells."""
    from yolo.inference.demo import serve
    from yolo.inference.model import load_model

    serve(load_model(weights_file(weights, model, repo), backend), host, port)
