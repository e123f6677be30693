"""Serve the page to try a detector."""

from typing import Annotated, Literal

import typer

from yolo.commands.weights_option import Released, Repo, Weights, chosen_weights

app = typer.Typer()


@app.command()
def demo(
    weights: Weights = None,
    model: Released = None,
    repo: Repo = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    backend: Annotated[
        Literal["torch", "onnx"], typer.Option(help="What runs the network, as for predict.")
    ] = "torch",
) -> None:
    """Serve a page to try a detector: drop an image, move the thresholds, see boxes and cells."""
    from yolo.inference.demo import serve
    from yolo.inference.model import load_model

    serve(load_model(chosen_weights(weights, model, repo), backend), host, port)
