"""Losses against the figures of the authors' code, values by hand, and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from salstm.optimisation import losses
from salstm.parameters import Choice


def fixture(classes: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Logits and labels for which the authors' losses were computed."""
    z = np.random.RandomState(11).standard_normal((4, 2, classes, 8, 8))
    label = np.random.RandomState(12).randint(0, classes, (2, 8, 8))
    label[label == classes - 1] = 0
    return [torch.as_tensor(one) for one in z], torch.as_tensor(label, dtype=torch.int64)


@pytest.mark.parametrize(
    ("classes", "entropy", "dice", "half", "weighted", "mutation"),
    [
        (4, 1.629279996959, 0.695512968677, 1.162396482818, 1.069019779990, 16.038307145064),
        (9, 2.590428239192, 0.840407637228, 1.715417938210, 1.540415878014, 22.104921409016),
    ],
)
def test_family_of_transunet_equals_the_authors(classes, entropy, dice, half, weighted, mutation):
    z, label = fixture(classes)
    one = (z[0],)
    assert float(F.cross_entropy(z[0], label)) == pytest.approx(entropy, abs=1e-11)
    assert float(losses.dice_loss(z[0], label)) == pytest.approx(dice, abs=1e-11)
    assert float(
        losses.cross_entropy_dice(cross_entropy=0.5, dice=0.5)(one, label)
    ) == pytest.approx(half, abs=1e-11)
    assert float(
        losses.cross_entropy_dice(cross_entropy=0.4, dice=0.6)(one, label)
    ) == pytest.approx(weighted, abs=1e-11)
    stages = (torch.stack(z).sum(0), *z)
    assert float(losses.mutation(cross_entropy=0.3, dice=0.7)(stages, label)) == pytest.approx(
        mutation, abs=1e-10
    )


def test_mutation_without_stages_is_the_loss_of_the_logits():
    z, label = fixture(4)
    alone = losses.mutation(cross_entropy=0.3, dice=0.7)((z[0],), label)
    assert torch.equal(
        alone, losses.cross_entropy_dice(cross_entropy=0.3, dice=0.7)((z[0],), label)
    )


def test_ssformer_has_the_floors_of_the_double_sigmoid():
    sure = torch.full((1, 1, 4, 4), 50.0)
    ones, zeros = torch.ones(1, 4, 4, dtype=torch.int64), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert float(losses.ssformer()((sure,), ones)) == pytest.approx(0.4117, abs=5e-5)
    assert float(losses.ssformer()((-sure,), zeros)) == pytest.approx(1.0265, abs=5e-5)


def test_fcbformer_goes_below_zero_by_one_over_twice_the_area():
    sure = torch.full((1, 1, 4, 4), 60.0, dtype=torch.float64)
    label = torch.ones(1, 4, 4, dtype=torch.int64)
    assert float(losses.fcbformer()((sure,), label)) == pytest.approx(-1 / (2 * 16 + 1), abs=1e-9)


def test_soft_dice_by_hand():
    # One pixel of four, probability 1/2 everywhere: 1 - (2 * 0.5 + 1) / (2 + 1 + 1).
    label = torch.tensor([[[1, 0], [0, 0]]])
    assert float(losses.soft_dice()((torch.zeros(1, 1, 2, 2),), label)) == pytest.approx(0.5)


def test_structure_by_hand_on_a_flat_mask():
    # All foreground, kernel 1: weight 1. Logits 0: BCE ln 2, IoU (8 + 1) / (24 - 8 + 1).
    label = torch.ones(1, 4, 4, dtype=torch.int64)
    expected = math.log(2) + 1 - (8 + 1) / (8 + 16 - 8 + 1)
    for weighted in (True, False):
        loss = losses.structure(kernel=1, weighted=weighted)((torch.zeros(1, 1, 4, 4),), label)
        assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_structure_weighs_the_border_more_unless_told_not_to():
    label = torch.zeros(1, 9, 9, dtype=torch.int64)
    label[:, 3:6, 3:6] = 1
    border = torch.where(label[:, None] > 0, 4.0, -4.0)
    border[..., 3, 3] = -4.0
    far = torch.where(label[:, None] > 0, 4.0, -4.0)
    far[..., 0, 0] = 4.0
    weighted, plain = (
        losses.structure(kernel=3, weighted=True),
        losses.structure(kernel=3, weighted=False),
    )
    gap = float(weighted((border,), label) - weighted((far,), label))
    assert gap > float(plain((border,), label) - plain((far,), label)) + 0.05


def test_boundary_takes_every_channel_after_a_second_sigmoid():
    label = torch.zeros(1, 5, 5, dtype=torch.int64)
    maps = tuple(torch.zeros(1, 1, 5, 5) for _ in range(3))
    edges = torch.full((1, 48, 5, 5), -50.0)
    loss = losses.structure_boundary(kernel=3)
    with_edges = float(loss((*maps, edges), label)) - float(loss(maps, label))
    assert with_edges == pytest.approx(math.log(2), abs=1e-6)  # sigmoid(-50) = 0, BCE of logit 0


def test_ohem_keeps_the_hard_pixels_and_at_least_a_sixteenth():
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 20.0  # all easy: the one hardest pixel is kept
    loss = losses.ohem(threshold=0.7, auxiliary_weight=0.5)
    assert float(loss((logits,), label)) == pytest.approx(0.0, abs=1e-6)
    logits[:, 0, 0] = -20.0  # a row of four wrong pixels: they alone count
    assert float(loss((logits,), label)) == pytest.approx(20.0, abs=1e-4)
    assert float(loss((logits, logits), label)) == pytest.approx(30.0, abs=1e-4)


@pytest.mark.parametrize("hard", [3, 4, 5])
def test_ohem_looks_at_the_first_pixel_that_the_least_number_leaves_out(hard):
    """OhemCELoss2D of feinanshan/FANet tests element n_min, counted from 0, not the last of the n_min."""
    label = torch.zeros(1, 8, 8, dtype=torch.int64)  # a sixteenth: 4
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0] = torch.arange(64.0).reshape(1, 8, 8) / 8 + 3
    logits[:, 0].flatten()[:hard] = -torch.arange(1.0, hard + 1)
    pixels = torch.nn.functional.cross_entropy(logits, label, reduction="none").flatten()
    pixels = pixels.sort(descending=True)[0]
    limit = -math.log(0.7)
    assert int((pixels > limit).sum()) == hard
    expected = pixels[pixels > limit].mean() if pixels[4] > limit else pixels[:4].mean()
    found = losses.ohem(threshold=0.7, auxiliary_weight=0.5)((logits,), label)
    assert float(found) == pytest.approx(float(expected), abs=1e-7)


@pytest.mark.parametrize("name", ["bce", "soft_dice", "fcbformer", "ssformer"])
def test_deep_supervision_is_the_mean_over_outputs(name):
    loss = losses.build(Choice.of({"name": name}))
    label = torch.randint(0, 2, (2, 6, 6), generator=torch.Generator().manual_seed(0))
    one, two = torch.randn(2, 2, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    mean = (loss((one,), label) + loss((two,), label)) / 2
    assert torch.allclose(loss((one, two), label), mean)


def test_unknown_losses_and_parameters_are_explained():
    with pytest.raises(ValueError, match="Available: cross_entropy_dice"):
        losses.build(Choice.of({"name": "dyce"}))
    with pytest.raises(ValueError, match="loss soft_dice, parameter 'kernel': unknown"):
        losses.build(Choice.of({"name": "soft_dice", "kernel": 3}))
