"""The row of nnU-Net: its plan, its function with its weights, its loss; what is not nnU-Net stands on the card."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import baselines
from baselines import nnunet
from baselines.nnunet.model import stages
from salstm import config, recipes
from salstm.optimisation import losses
from salstm.parameters import Choice
from tests.parity import counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
def test_counts_are_the_cards():
    counts.check("nnunet")


@pytest.mark.parametrize(
    ("side", "count"), [(32, 4), (40, 4), (64, 5), (224, 6), (256, 7), (352, 6), (384, 7), (512, 8)]
)
def test_stages_follow_nnunets_rule(side, count):
    """Halve while 4 pixels are left: 224, 112, 56, 28, 14, 7; 352 ends at an odd 11."""
    assert stages(side) == count


def theirs(side: int, inputs: int, outputs: int) -> nn.Module:
    """nnU-Net's PlainConvUNet with the arguments of its 2D plans."""
    architectures = pytest.importorskip(
        "dynamic_network_architectures.architectures.unet",
        reason="dynamic_network_architectures is not installed: it asks for timm<1.0.23, so it is in no lock of ours",
    )
    count = stages(side)
    return architectures.PlainConvUNet(
        inputs,
        count,
        [min(32 * 2**stage, 512) for stage in range(count)],
        nn.Conv2d,
        3,
        [1] + [2] * (count - 1),
        2,
        outputs,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )


@pytest.mark.extended
@pytest.mark.parametrize("side", [32, 64])
def test_is_the_function_of_nnunets_plain_conv_unet(side):
    torch.manual_seed(0)
    reference = theirs(side, 3, 4).double().eval()
    for value in reference.parameters():
        nn.init.normal_(value, 0, 0.1)
    ours = baselines.build("nnunet", in_channels=3, out_channels=4, image_size=side)
    ours.double().eval().load_state_dict(nnunet.from_authors(reference.state_dict()))
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        expected, found = reference(x), ours(x)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
        # A weight that stands elsewhere is seen.
        next(ours.parameters()).mul_(-1)
        assert (ours(x) - expected).abs().max() > 1e-3
    biases = sum(value.numel() for key, value in reference.named_parameters() if "bias" in key)
    count = [sum(value.numel() for value in one.parameters()) for one in (ours, reference)]
    assert 0 < count[1] - count[0] < biases + 4 * 33 * stages(side) * 512


def test_the_loss_by_hand():
    """A pixel of foreground and one without, foreground's probability 3/4 and 1/4: Dice 2 (3/4) / (1 + 1)."""
    logit = float(torch.log(torch.tensor(3.0)))
    logits = torch.tensor([[[0.0, logit]], [[logit, 0.0]]]).permute(1, 0, 2)[..., None]
    label = torch.tensor([[[1], [0]]])
    loss = losses.build(Choice("nnunet", {}))
    entropy = -torch.log(torch.tensor(0.75))
    dice = (2 * 0.75 + 1e-5) / (0.75 + 0.25 + 1 + 1e-5)
    assert loss((logits,), label) == pytest.approx(float(entropy) - dice, abs=1e-6)
    both = loss((logits, logits), label)
    assert both == pytest.approx(float(entropy) - dice, abs=1e-6)


def test_deep_supervision_weighs_1_half_quarter():
    torch.manual_seed(1)
    outputs = tuple(torch.randn(2, 3, 8, 8) for _ in range(3))
    label = torch.randint(0, 3, (2, 8, 8))
    loss = losses.build(Choice("nnunet", {}))
    alone = [float(loss((one,), label)) for one in outputs]
    expected = (alone[0] + alone[1] / 2 + alone[2] / 4) / 1.75
    assert float(loss(outputs, label)) == pytest.approx(expected, abs=1e-5)
    perfect = F.one_hot(label, 3).movedim(-1, 1) * 40.0
    assert float(loss((perfect,), label)) == pytest.approx(-1, abs=1e-4)


def test_the_recipe_is_nnunets():
    laid = config.load(config.PACKAGE.parent / "config.yaml")
    laid["grid"] = {"synapse": [], "acdc": ["nnunet"], "isic2018": ["nnunet"], "cvc_clinicdb": []}
    checked = config.checked(laid, baselines.names(), baselines.problems)
    for dataset in ("acdc", "isic2018"):
        recipe = recipes.resolve(checked, dataset, "nnunet", "plain")
        assert recipe.optimizer.block() == {
            "name": "sgd",
            "lr": 0.01,
            "momentum": 0.99,
            "nesterov": True,
            "weight_decay": 3.0e-5,
        }
        assert recipe.iterations == 250000
        assert (recipe.loss.name, recipe.augment, recipe.auxiliary) == ("nnunet", "nnunet", True)
        assert recipe.activation == "softmax"
        assert not recipes.resolve(checked, dataset, "nnunet", "salstm").auxiliary
