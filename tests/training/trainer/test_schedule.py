"""Learning rates against the original's numbers, and against wrong schedules."""

import json
from pathlib import Path

import numpy as np
import pytest
from darknet_schedule import from_darknet

from yolo.params.optimisation import Schedule
from yolo.training.trainer import schedule as module
from yolo.training.trainer.schedule import rate

CASES = range(5)


@pytest.fixture(scope="module")
def fixtures(original):
    with np.load(original / "lr_schedule.npz") as file:
        return [
            (case["cfg_net"], file[f"c{number}_batch"], file[f"c{number}_rate"])
            for number, case in enumerate(json.loads(str(file["meta"])))
        ]


def assert_matches_original(schedule, fixture):
    """Raise AssertionError unless `schedule(cfg text)` gives the original's rates."""
    text, batches, rates = fixture
    found = [schedule(text)(int(batch)) for batch in batches]
    # the original computes in float32
    np.testing.assert_allclose(found, rates, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_rates_are_the_originals(fixtures, case):
    assert_matches_original(from_darknet, fixtures[case])


@pytest.mark.parametrize("case", CASES)
def test_a_whole_file_gives_the_same(fixtures, case):
    text, batches, rates = fixtures[case]
    whole = f"# comment\n\n [net] \n{text}\n; comment\n\n[convolutional]\nlearning_rate=7\n"
    assert_matches_original(from_darknet, (whole, batches, rates))


@pytest.mark.parametrize("case", CASES)
def test_parameters_give_the_same_as_a_configuration(fixtures, case):
    text, batches, rates = fixtures[case]
    keys = dict(line.replace(" ", "").split("=") for line in text.splitlines())
    schedule = Schedule(
        policy=keys["policy"],
        learning_rate=float(keys["learning_rate"]),
        burn_in=int(keys.get("burn_in", 0)),
        power=float(keys.get("power", 4)),
        steps=[int(step) for step in keys["steps"].split(",")] if "steps" in keys else [],
        scales=[float(scale) for scale in keys["scales"].split(",")] if "scales" in keys else [],
    )
    last = int(keys["max_batches"])
    assert_matches_original(
        lambda _: lambda batch: rate(schedule, batch, last), (text, batches, rates)
    )


def one_batch_early(text):
    schedule = from_darknet(text)
    return lambda batch: schedule(batch + 1)


def one_batch_late(text):
    schedule = from_darknet(text)
    return lambda batch: schedule(max(batch - 1, 0))


def scale_applied_late(text):
    return changed(text, "batch < step", "batch <= step")


def steps_during_burn_in_and_after(text):
    wrong = "if batch <= schedule.burn_in and schedule.policy == 'constant':"
    return changed(text, "if batch < schedule.burn_in:", wrong)


def changed(text, right, wrong):
    source = Path(module.__file__).read_text()
    assert source.count(right) == 1
    names = {"__name__": module.__name__}
    exec(source.replace(right, wrong), names)
    return from_darknet(text, names["rate"])


@pytest.mark.parametrize(
    "wrong", [one_batch_early, one_batch_late, scale_applied_late, steps_during_burn_in_and_after]
)
def test_the_check_notices_a_wrong_schedule(fixtures, wrong):
    with pytest.raises(AssertionError):
        for fixture in fixtures:
            assert_matches_original(wrong, fixture)


def test_steps_by_hand():
    schedule = from_darknet("learning_rate=.5\npolicy=steps\nsteps=2,5\nscales=.5,4")
    assert [schedule(batch) for batch in (0, 1, 2, 4, 5, 9)] == [0.5, 0.5, 0.25, 0.25, 1, 1]


def test_burn_in_by_hand():
    schedule = from_darknet("[net]\nlearning_rate=2\nburn_in=4\npower=2")
    assert [schedule(batch) for batch in (0, 1, 2, 4, 100)] == [0, 0.125, 0.5, 2, 2]


def test_poly_by_hand():
    schedule = from_darknet("learning_rate=3\npolicy=poly\npower=2\nmax_batches=10")
    assert [schedule(batch) for batch in (0, 5, 10)] == [3, 0.75, 0]


def test_cosine_by_hand():
    schedule = Schedule(
        policy="cosine", learning_rate=4.0, burn_in=2, power=1.0, steps=[], scales=[]
    )
    rates = [rate(schedule, batch, 10) for batch in (1, 2, 4, 6, 8, 10)]
    half = 2**0.5 / 2
    assert rates == pytest.approx([2, 4, 2 * (1 + half), 2, 2 * (1 - half), 0])


def test_missing_keys_have_the_originals_defaults():
    assert from_darknet("[net]")(7) == 0.001


def test_of_a_repeated_key_the_first_counts():
    assert from_darknet("learning_rate=.5\nlearning_rate=.25")(1) == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policy=exp\ngamma=.9", "policy is 'exp'; allowed: constant, steps, poly"),
        ("policy=steps\nsteps=1,2\nscales=.1", "steps has 2, scales 1"),
        ("policy=steps", "steps has 0, scales 0"),
        ("policy=poly", "needs max_batches from 1 up"),
        ("policy=steps\nsteps=1,two\nscales=1,1", "steps has 'two', which is no whole number"),
        ("learning_rate=", "learning_rate has '', which is no number"),
        ("[convolutional]\nfilters=3", r"line 1: the first section is \[convolutional\]"),
        ("[net]\nbatch 64", "line 2: 'batch 64' is not key=value"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_it(text, message):
    with pytest.raises(ValueError, match=message):
        from_darknet(text)
