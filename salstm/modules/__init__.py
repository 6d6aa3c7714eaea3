"""The two modules of the paper and two controls, put on any network that gives 64 channels.

Source: Ji, Ye & Ma, IEEE TIP 33 (2024), doi 10.1109/TIP.2024.3482189, as released for ACDC
(github.com/yeshunlong/SALSTM, code/ACDC/Baseline/model.py @ 1c61b9f). ``*`` is convolution, ``.``
the product element by element; the network E turns three neighbouring frames into 64-channel maps
x_1 = E(previous), x_2 = E(centre), x_3 = E(next):

1. ``a = W * [x_t, h_{t-1}] + b``, whose four chunks of 64 channels are, in this order, a_i, a_f,
   a_o, a_g
2. ``i, f, o = sigmoid(a_i, a_f, a_o)`` and ``g = tanh(a_g)``
3. ``c_t = f . c_{t-1} + i . g``
4. ``h_t = o . tanh(c_t)``, with ``h_0 = c_0 = 0``
5. ``Q = (c_2 + f_2) / 2``, ``K = (g_2 + h_2) / 2``, ``V = h_2``: states of the second step, at the
   centre frame
6. ``A = softmax(s Q K^T)`` over the last axis and ``Y = A V``, on maps flattened to (64, H W):
   attention between channels, with ``s = 1 / sqrt(attention_size)``
7. LSTMSA only, before 6: ``Q' = Q . (W_q h_2)``, ``K' = K . (W_k h_2)``, ``V' = h_2 . (W_v h_2)``
8. ``logits = W_y [Y_forward, Y_reverse] + b_y``: a 1x1 convolution; the forward net runs over
   (x_1, x_2), the reverse net over (x_3, x_2), with weights of their own

Importing this package loads no torch; ``attach`` does. Nothing here imports anything but torch and
the names of the variants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from salstm import vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from salstm.modules.wrapper import Attached

ATTENTION_SIZE = 88 * 88  # the authors' constant on ACDC, though its maps have 224 * 224 positions


def attach(
    network: nn.Module,
    variant: str,
    classes: int,
    attention_size: float | Literal["map", "released"] = ATTENTION_SIZE,
    wiring: Literal["frames", "patches"] = "frames",
) -> Attached:
    """Put a variant on a network.

    Args:
        network: from ``(B, C, H, W)`` to 64 channels ``(B, 64, H, W)``, for ``plain`` to
            ``classes`` channels.
        variant: one of ``salstm.vocabulary.VARIANTS``: ``plain`` (the network alone), the paper's ``salstm`` and
            ``lstmsa``, the controls ``stack`` (1x1 convolution over the three frames' features)
            and ``convlstm`` (both directions of the ConvLSTM without attention, Y = h_2).
        classes: channels of the logits.
        attention_size: the scale of the attention is ``1 / sqrt(attention_size)``: the authors'
            7744, any positive number, ``"map"`` for the true H W of the maps, or ``"released"`` for
            what keeps the scores of 7744 at 224 x 224 on maps of any size. Unused by the other three
            variants.
        wiring: what a recurrent head reads where there is one frame: ``"frames"``, the frame as its
            own neighbours; or ``"patches"``, the map cut into 32 x 32 patches as the sequence, in
            both directions (``salstm.modules.patches``).

    Returns:
        A module from ``(B, T, C, H, W)`` with T = 3 (previous, centre, next) or T = 1 to the logits
        ``(B, classes, H, W)`` of the middle frame; ``wrapper.Attached`` describes it.

    Raises:
        ValueError: unknown variant, ``classes`` below 1, an ``attention_size`` that is neither
            positive nor a word, ``"patches"`` for a variant without a recurrent net.
    """
    from salstm.modules import wrapper

    vocabulary.check("variant", variant, vocabulary.VARIANTS)
    return wrapper.build(network, variant, classes, attention_size, wiring)


def from_authors(variant: str, entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the module's entries of the authors' state dict to ours; see ``authors.from_authors``."""
    from salstm.modules import authors

    return authors.from_authors(variant, entries)


def encoder_entries(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's entries of the authors' state dict; see ``authors.encoder_entries``."""
    from salstm.modules import authors

    return authors.encoder_entries(entries)
