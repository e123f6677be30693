"""A learning rate means the same step in each way of averaging the loss, once converted."""

import numpy as np
import pytest
import torch

from yolo.detection.loss import detection_loss
from yolo.detection.targets import encode_batch
from yolo.training.trainer.optimiser import set_rate, sgd

torch.set_num_threads(1)
IMAGES, GRID, BOXES, CLASSES = 6, 3, 2, 4
OUTPUTS = GRID * GRID * (CLASSES + 5 * BOXES)
RATE, DECAY = 0.01, 0.0005


def trained(loss, rate, decay):
    """Weights of a linear network after three updates."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(IMAGES, 5, generator=generator, dtype=torch.float64)
    boxes = torch.rand(2 * IMAGES, 6, generator=generator, dtype=torch.float64)
    numbers = torch.arange(2 * IMAGES)
    boxes[:, 0], boxes[:, 1] = numbers // 2, numbers % CLASSES
    truth = encode_batch(boxes, images=IMAGES, grid=GRID, classes=CLASSES)
    network = torch.nn.Linear(5, OUTPUTS, bias=False, dtype=torch.float64)
    with torch.no_grad():
        network.weight.normal_(generator=generator)
    optimiser = sgd(network, momentum=0.9, decay=decay)
    set_rate(optimiser, rate)
    for _ in range(3):
        optimiser.zero_grad()
        ours = detection_loss(
            network(inputs),
            truth,
            grid=GRID,
            boxes=BOXES,
            classes=CLASSES,
            coord_scale=5.0,
            object_scale=1.0,
            noobject_scale=0.5,
            class_scale=1.0,
        ).total
        loss(ours).backward()
        optimiser.step()
    return network.weight.detach()


@pytest.mark.parametrize(
    ("loss", "rate", "decay"),
    [
        pytest.param(lambda ours: 2 * ours, RATE / 2, 2 * DECAY, id="equation 3, mean of images"),
        pytest.param(
            lambda ours: 2 * IMAGES * ours,
            RATE / (2 * IMAGES),
            2 * IMAGES * DECAY,
            id="equation 3, sum of images",
        ),
        pytest.param(
            lambda ours: 2 * ours / OUTPUTS,
            RATE * OUTPUTS / 2,
            2 * DECAY / OUTPUTS,
            id="mean of all outputs",
        ),
    ],
)
def test_rates_and_decays_convert_as_documented(loss, rate, decay):
    expected = trained(lambda ours: ours, RATE, DECAY)
    np.testing.assert_allclose(trained(loss, rate, decay), expected, rtol=1e-9, atol=1e-12)


def test_an_unconverted_rate_is_another_training():
    expected = trained(lambda ours: ours, RATE, DECAY)
    other = trained(lambda ours: 2 * ours, RATE, DECAY)
    assert not torch.allclose(other, expected, rtol=0.05)
