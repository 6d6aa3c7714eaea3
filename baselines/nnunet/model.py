"""nnU-Net's 2D network at the plan that it makes for an image size, in MONAI's words."""

from __future__ import annotations

from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

FEWEST_PIXELS = 4
"""Side of the deepest maps, below which nnU-Net pools no further (UNet_featuremap_min_edge_length)."""
WIDTHS = (32, 512)
"""Channels of the first stage, doubled from stage to stage, and their limit in 2D."""


def stages(image_size: int) -> int:
    """Stages of the network: one, and one more for each halving that leaves maps of 4 pixels or more.

    nnU-Net pads a side to what it halves; here it stops where a side is odd.

    Args:
        image_size: side of the input in pixels.
    """
    count, side = 1, image_size
    while side >= 2 * FEWEST_PIXELS and side % 2 == 0:
        count, side = count + 1, side // 2
    return count


class NNUNet(nn.Module):
    """PlainConvUNet of nnU-Net's default 2D plan: two 3x3 convolutions a stage, instance norm, leaky ReLU.

    Args:
        in_channels: of the frames.
        out_channels: of the logits.
        image_size: side of the input, which decides the number of stages.
        auxiliary: logits of every stage of the decoder but the lowest as well, in training.
    """

    def __init__(
        self, in_channels: int, out_channels: int, image_size: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        count = stages(image_size)
        first, most = WIDTHS
        supervised = {"deep_supervision": True, "deep_supr_num": count - 3} if auxiliary else {}
        self.network = DynUNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=[3] * count,
            strides=[1] + [2] * (count - 1),
            upsample_kernel_size=[2] * (count - 1),
            filters=[min(first * 2**stage, most) for stage in range(count)],
            trans_bias=True,
            **supervised,
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits at the size of the frames; in training, with ``auxiliary``, those of the other stages enlarged."""
        logits = self.network(x)
        return logits.unbind(1) if logits.ndim == 5 else logits
