"""How often the processes of a training decide together."""

from types import SimpleNamespace
from typing import Any

import pytest

from yolo.training.trainer import distributed
from yolo.training.trainer.distributed import Decisions


class Processes:
    """Processes that update in step; each update takes the slowest one's time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.now, self.update, self.asked = 0.0, 0, list[int]()
        own: Any = SimpleNamespace(num_processes=count)
        self._all = [
            Decisions(own, seconds=2.0, most=50, clock=lambda: self.now) for _ in range(count)
        ]
        # in a test they run one after the other: what one sends, all get
        monkeypatch.setattr(distributed, "_largest", lambda _, numbers: list(numbers))

    def run(self, updates: int, seconds: float, told: bool = False) -> float | None:
        """Update; return the time from a signal now to the decision to stop."""
        began = self.now
        for _ in range(updates):
            self.update, self.now = self.update + 1, self.now + seconds
            due = {one.are_due(self.update) for one in self._all}
            assert len(due) == 1, "some processes would wait for the others for ever"
            if due.pop():
                self.asked.append(self.update)
                answers = [one.decide(self.update, [told]) for one in self._all]
                if answers[0][0]:
                    return self.now - began
        return None


@pytest.mark.parametrize(
    ("seconds", "most_seconds"), [(0.001, 0.06), (0.1, 2.1), (1.5, 2.1), (20.0, 21.0)]
)
def test_a_signal_is_heard_after_seconds_however_long_an_update_takes(
    monkeypatch: pytest.MonkeyPatch, seconds: float, most_seconds: float
) -> None:
    processes = Processes(monkeypatch, 2)
    for _ in range(5):
        processes.run(37, seconds)
        heard = processes.run(100, seconds, told=True)
        assert heard is not None and heard <= most_seconds


def test_fast_updates_are_asked_for_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(monkeypatch, 2)
    processes.run(1000, 0.01)
    assert len(processes.asked) <= 23


def test_updates_that_become_slow_are_asked_for_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(monkeypatch, 2)
    processes.run(500, 0.01)
    processes.run(150, 3.0)
    heard = processes.run(100, 3.0, told=True)
    assert heard is not None and heard <= 3.0


def test_one_process_alone_decides_after_each_update(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(monkeypatch, 1)
    processes.run(20, 0.001)
    assert processes.asked == list(range(1, 21))
