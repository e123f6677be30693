"""The device that the runtime settings mean on this machine."""

import torch

from yolo.runtime.settings import Device


def pick_device(setting: Device) -> torch.device:
    """What the runtime setting means here: `auto` is an accelerator where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if setting == "cpu" or accelerator is None:
        return torch.device("cpu")
    return accelerator
