"""How often a stage is tried, and how long one attempt may take. Change it here."""

from collections.abc import Mapping
from dataclasses import dataclass

PREEMPTIONS = 20
"""How often a stage that was told to stop is started again, at once: it lost nothing."""

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class Policy:
    """What happens when an attempt at a stage fails for a reason of its own."""

    retries: int = 0
    """Attempts after the first."""
    delay: float = 0.0
    """Seconds before each of them."""
    time_out: float | None = None
    """Seconds that one attempt may take; it then ends like a failed one."""


POLICIES: Mapping[str, Policy] = {
    # what fails there is mostly the network, and a download resumes
    "download": Policy(retries=3, delay=1 * _MINUTE, time_out=24 * _HOUR),
    # bad data stays bad
    "validate": Policy(time_out=6 * _HOUR),
    # a crashed training goes on from its last state: a lost GPU, a full disk that was cleared
    "pretrain": Policy(retries=1, delay=1 * _MINUTE, time_out=14 * 24 * _HOUR),
    "extract_backbone": Policy(time_out=10 * _MINUTE),
    "detect_train": Policy(retries=1, delay=1 * _MINUTE, time_out=7 * 24 * _HOUR),
    "evaluate": Policy(time_out=6 * _HOUR),
}
"""By the name of the stage, or of the group before `@`."""


def policy_of(stage: str) -> Policy:
    """The policy of a stage; one attempt without a time-out where none is given."""
    return POLICIES.get(stage, POLICIES.get(stage.partition("@")[0], Policy()))
