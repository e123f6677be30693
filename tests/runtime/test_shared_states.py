"""Trainings on machines that disappear: processes that are killed, and their disks with them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from s3_server import ADDRESS, s3_server

SCRIPT = Path(__file__).with_name("train_shared.py")


@pytest.fixture
def server():
    with s3_server() as server:
        yield server


def train(machine: Path, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run the training on a `machine`, whose folder it is; return the exit status and the text."""
    out = machine.with_suffix(".pt")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(machine), "0", str(out), *arguments],
        env=os.environ
        | {"YOLO_DEVICE": "cpu", "YOLO_THREADS": "1", "YOLO_SAVE_BATCHES": "1"}
        | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stderr


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("how", "status", "batch"), [("kill", -9, None), ("term", 75, 7)])
def test_a_new_machine_ends_with_the_bytes_of_an_unbroken_training(
    server, tmp_path, how, status, batch
):
    """The first machine dies with its disk, with or without a warning."""
    shared = server.environment | {"YOLO_RUNS": ADDRESS, "YOLO_UPLOAD_MINUTES": "0.0001"}
    assert train(tmp_path / "whole", environment={})[0] == 0
    code, said = train(tmp_path / "first", how, "7", environment=shared)
    assert code == status, said
    shutil.rmtree(tmp_path / "first")
    code, said = train(tmp_path / "second", environment=shared)
    assert code == 0, said
    assert f"took the state of batch {batch or ''}" in said
    assert "going on after batch" in said
    whole, second = (torch.load(tmp_path / f"{name}.pt") for name in ("whole", "second"))
    assert all(torch.equal(whole[name], second[name]) for name in whole)
    assert server.files() == []


def test_wrong_credentials_are_told_before_the_first_batch(server, tmp_path):
    shared = server.environment | {"YOLO_RUNS": ADDRESS, "AWS_SECRET_ACCESS_KEY": "wrong"}
    server.ask_for_credentials()
    try:
        code, said = train(tmp_path / "machine", environment=shared)
    finally:
        server.ask_for_nothing()
    assert code == 1
    assert "error: YOLO_RUNS" in said and "credentials" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "machine").rglob("state.pt"))
