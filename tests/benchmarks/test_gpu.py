"""The GPU benchmark, whole and small, on this machine's device."""

import json

import pytest

from benchmarks import gpu


def test_the_speed_of_a_preset_is_measured_and_written(tmp_path):
    asked = ["--small", "--parts", "speed", "--presets", "voc2012", "--price", "2"]
    gpu.main([*asked, "--out", str(tmp_path)])
    results = json.loads((tmp_path / "gpu.json").read_text())
    row = results["speed"]["voc2012"]
    assert row["bare"] > 0 and row["ours"] > 0 and row["mfu"] > 0
    assert row["cores_to_keep_busy"] >= row["bare"] / row["loader_per_core"]
    # 160,000 updates of the shrunk pre-training and 40,000 of the detector, 2 images each
    assert row["hours"] > 40_000 * 2 / row["ours"] / 3600
    assert all(isinstance(rate, float) for rate in list(row["ways"].values())[:2])
    table = (tmp_path / "gpu.md").read_text()
    assert f"| {row['hours']:.1f} | {row['hours'] * 2:.2f} |" in table


def test_what_there_is_no_time_for_is_named(tmp_path):
    gpu.main(["--small", "--minutes", "0", "--parts", "speed", "demo", "--out", str(tmp_path)])
    table = (tmp_path / "gpu.md").read_text()
    assert table.count("not run: the time was up") == len(gpu.PRESETS)
    assert "demo: status the time was up" in table


@pytest.mark.slow
def test_tests_and_demo_run(tmp_path):
    gpu.main(["--small", "--parts", "tests", "demo", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert results["tests"]["tests"] > 0 and results["tests"]["failures"] == 0
    assert results["demo"]["status"] == "exit status 0"


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA L4", 121e12),
        ("Some other device", None),
    ],
)
def test_the_peak_is_that_of_the_device_named(name, peak):
    assert gpu.peak_of(name, is_bf16=True) == peak
