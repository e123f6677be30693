"""Runtime settings from the environment."""

from pathlib import Path

import pytest

from yolo.errors import UserError
from yolo.runtime.settings import from_environment, usable_cores


def test_every_setting_has_a_default():
    settings = from_environment({})
    assert settings.device == "auto"
    assert settings.tracking == "offline"
    assert settings.threads == usable_cores() >= 1
    assert settings.micro_batch is None
    assert settings.runs == Path("runs")
    assert settings.price_per_hour is None


def test_settings_are_read():
    settings = from_environment(
        {
            "YOLO_DEVICE": "cpu",
            "YOLO_THREADS": "3",
            "YOLO_WORKERS": "2",
            "YOLO_MICRO_BATCH": "8",
            "YOLO_RUNS": "~/runs",
        }
    )
    assert settings.runs == Path.home() / "runs"
    assert (settings.device, settings.threads, settings.workers) == ("cpu", 3, 2)
    assert settings.micro_batch == 8


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("YOLO_TRACKING", "on", "offline, online, disabled"),
        ("YOLO_DEVICE", "gpu", "auto, cpu"),
        ("YOLO_WORKERS", "-1", "whole number from 0"),
        ("YOLO_THREADS", "two", "whole number from 0"),
        ("YOLO_PRICE_PER_HOUR", "cheap", "number from 0 up"),
        ("YOLO_PRICE_PER_HOUR", "inf", "number from 0 up"),
        ("YOLO_MAX_PRICE", "0", "number above 0"),
        ("YOLO_MAX_PRICE", "5", "needs YOLO_PRICE_PER_HOUR"),
    ],
)
def test_a_wrong_setting_names_variable_value_and_what_is_allowed(name, value, allowed):
    with pytest.raises(UserError, match=f"{name} is '{value}'.*{allowed}"):
        from_environment({name: value})
