"""What the authors' public code does in each of the twenty plain cells, written down apart from config.yaml.

Sources: the files named on the cards. ``stand_in`` says whose recipe it is where the network's authors have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Rate = Callable[[int, int], float]
"""From the 0-based step and epoch to the learning rate."""

FRAMES = {"synapse": 2211, "acdc": 1304, "isic2018": 1868, "cvc_clinicdb": 490}
"""Training frames of the published splits."""


@dataclass(frozen=True)
class Facts:
    """A training as its authors run it.

    Attributes:
        iterations: optimizer steps in all.
        batch: items a step.
        rate: of a step.
        optimizer: name in ``torch.optim``.
        options: of the optimizer, without its rate.
        loss: name of a function in ``tests.fidelity.loop``.
        drop_last: whether an epoch's last partial batch is left out.
        stand_in: whose recipe it is; '' for the network's own authors'.
    """

    iterations: int
    batch: int
    rate: Rate
    optimizer: str
    options: dict[str, float]
    loss: str
    drop_last: bool = False
    stand_in: str = ""


def poly(base: float, total: int) -> Rate:
    """Set after each step from that step's number: the first two run at the base rate."""

    def rate(step: int, epoch: int) -> float:
        return base * (1.0 - (step - 1) / total) ** 0.9 if step else base

    return rate


def constant(base: float) -> Rate:
    """Always the same."""
    return lambda step, epoch: base


def halved(step: int, epoch: int) -> float:
    """DCSAU-Net: StepLR(100, 0.5)."""
    return 1e-3 if epoch < 100 else 5e-4


def raised(step: int, epoch: int) -> float:
    """HarDNet-DFUS: LambdaLR of 1.001 + cos(pi epoch / 300)."""
    return 1e-4 * (1.001 + math.cos(math.pi * epoch / 300))


def delayed(step: int, epoch: int) -> float:
    """SSFormer: the warm-up's epoch at 0, then a tenth every 200 epochs."""
    if epoch == 0:
        return 0.0
    for last, value in ((200, 1e-4), (400, 1e-5), (600, 1e-6)):
        if epoch <= last:
            return value
    return 1e-7


def warmed_up(step: int, epoch: int) -> float:
    """FANet's AdaOptimizer: exponential from 1e-5 up to and including step 1000, then poly to 40,000."""
    if step <= 1000:
        return 1e-5 * (1e-2 / 1e-5) ** (step / 1000)
    return 1e-2 * (1 - (step - 1000) / 39000) ** 0.9


SGD = {"momentum": 0.9, "weight_decay": 1e-4}
DECAY = {"weight_decay": 1e-4}
NONE = "none of its own: the rest of SALSTM's release stands in"
DCSAUNET = "DCSAU-Net"
_UNETS = Facts(17400, 16, halved, "Adam", {}, "soft_dice", drop_last=True, stand_in=DCSAUNET)

CELLS: dict[tuple[str, str], Facts] = {
    ("synapse", "transunet"): Facts(13950, 24, poly(0.01, 13950), "SGD", SGD, "half_half"),
    ("synapse", "mtunet"): Facts(18500, 12, poly(1e-4, 18500), "Adam", DECAY, "half_half"),
    ("synapse", "missformer"): Facts(37200, 24, poly(0.05, 37200), "SGD", SGD, "four_six"),
    ("synapse", "daeformer"): Facts(44400, 20, poly(0.0416667, 44400), "SGD", SGD, "four_six"),
    ("synapse", "merit"): Facts(41700, 16, constant(1e-4), "AdamW", DECAY, "mutation"),
    ("acdc", "transunet"): Facts(
        20000, 24, poly(0.01, 20000), "SGD", SGD, "half_half", stand_in="the paper's words"
    ),
    ("acdc", "mtunet"): Facts(
        32600, 8, poly(1e-4, 32600), "Adam", DECAY, "half_half", stand_in="SALSTM's release"
    ),
    ("acdc", "missformer"): Facts(
        32600, 8, poly(0.05, 32600), "SGD", SGD, "four_six", stand_in=NONE
    ),
    ("acdc", "daeformer"): Facts(
        32600, 8, poly(0.05, 32600), "SGD", SGD, "four_six", stand_in=NONE
    ),
    ("acdc", "merit"): Facts(43600, 12, constant(1e-4), "AdamW", DECAY, "mutation"),
    **{("isic2018", name): _UNETS for name in ("unet", "resunet", "dwunet", "unetpp")},
    ("isic2018", "dcsaunet"): Facts(17400, 16, halved, "Adam", {}, "soft_dice", drop_last=True),
    ("cvc_clinicdb", "fcbformer"): Facts(
        *(6000, 16, constant(1e-4), "AdamW", {"weight_decay": 0.01}, "fcbformer"), drop_last=True
    ),
    # 601 of up to 2000 epochs: past them the rate is 1e-7 and below. Their images are 1450, Kvasir's among them.
    ("cvc_clinicdb", "ssformer"): Facts(
        *(9616, 32, delayed, "AdamW", {"weight_decay": 0.01}, "ssformer"),
        stand_in="their epochs on these frames",
    ),
    ("cvc_clinicdb", "hardnet_dfus"): Facts(
        *(12300, 12, raised, "AdamW", {"weight_decay": 0.01, "eps": 1e-7}, "hardnet"),
    ),
    ("cvc_clinicdb", "fanet"): Facts(
        *(40000, 16, warmed_up, "SGD", {"momentum": 0.9, "weight_decay": 5e-4}, "fanet"),
        drop_last=True,
        stand_in="their street scenes",
    ),
    ("cvc_clinicdb", "esfpnet"): Facts(
        12400, 8, constant(1e-4), "AdamW", {"weight_decay": 0.01}, "esfpnet"
    ),
}
