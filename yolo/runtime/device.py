"""The device that a training runs on, by the runtime settings of this machine."""

import torch

from yolo.runtime.settings import Device


def pick_device(setting: Device) -> torch.device:
    """What the runtime setting means here: `auto` is an accelerator where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if setting == "cpu" or accelerator is None:
        return torch.device("cpu")
    return accelerator


def device_name(device: torch.device) -> str:
    """Name of the device for people and for the ledger: `NVIDIA H100 80GB HBM3`, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
