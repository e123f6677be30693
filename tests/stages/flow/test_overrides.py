"""Parameters of one run."""

from pathlib import Path

import pytest

from stages.flow.overrides import apply_overrides, with_overrides
from yolo.errors import UserError


def test_a_parameter_is_set_and_the_rest_stays(toy: Path) -> None:
    apply_overrides(toy, ["rate=0.5", "block.name=x"])
    assert (toy / "params.yaml").read_text() == "rate: 0.5\nblock:\n  size: 1\n  name: x\n"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rat=0.5", "cannot set rat=0.5: .*rat"),
        ("rate=0.1,0.2", "one run takes one value"),
        ("no.yaml:rate=1", "cannot set no.yaml:rate=1"),
    ],
)
def test_a_wrong_override_is_an_error_and_changes_nothing(
    toy: Path, override: str, message: str
) -> None:
    before = (toy / "params.yaml").read_text()
    with pytest.raises(UserError, match=message):
        apply_overrides(toy, [override])
    assert (toy / "params.yaml").read_text() == before


def test_overrides_for_a_look_are_taken_back(toy: Path) -> None:
    before = (toy / "params.yaml").read_text()
    with with_overrides(toy, ["rate=0.5"]):
        assert "rate: 0.5" in (toy / "params.yaml").read_text()
    assert (toy / "params.yaml").read_text() == before
