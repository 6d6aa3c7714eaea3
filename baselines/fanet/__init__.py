"""FANet-18, real-time segmentation with fast attention (Hu et al., arXiv 2007.03815)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

import baselines
from baselines.fanet.model import FANet, load_backbone

# Authors' prefix: ours. Their numbers 4 to 32 stand for the strides 8 to 64.
_PREFIXES = {
    "resnet.": "backbone.",
    **{f"ffm_{stride // 2}.up.": f"up{stride}." for stride in (16, 32, 64)},
    **{f"ffm_{stride // 2}.smooth.": f"smooth{stride}." for stride in (8, 32, 64)},
    **{f"ffm_{stride // 2}.w_qs.": f"attention{stride}.query." for stride in (8, 16, 32, 64)},
    **{f"ffm_{stride // 2}.w_ks.": f"attention{stride}.key." for stride in (8, 16, 32, 64)},
    **{f"ffm_{stride // 2}.w_vs.": f"attention{stride}.value." for stride in (8, 16, 32, 64)},
    **{f"ffm_{stride // 2}.latlayer3.": f"attention{stride}.leave." for stride in (8, 16, 32, 64)},
    "clslayer_8.": "head.",
    "clslayer_16.": "auxiliary32.",
    "clslayer_32.": "auxiliary64.",
}
_NEVER_CALLED = ("ffm_4.up.", "ffm_8.smooth.")


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    auxiliary: bool = False,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build FANet-18; it takes any size, so ``image_size`` is not used.

    Args:
        in_channels: 1 (repeated to 3) or 3.
        out_channels: channels of the logits.
        image_size: not used.
        auxiliary: create the two auxiliary heads; in training mode the output is
            ``(logits, auxiliary at stride 64, auxiliary at stride 32)``.
        pretrained: torchvision's ResNet-18 file (the card says which).

    Raises:
        FileNotFoundError: no such file of weights.
        ValueError: the file is not a ResNet-18.
    """
    network = FANet(in_channels, out_channels, auxiliary=auxiliary)
    if pretrained is not None:
        weights = baselines.card("fanet")["weights"]
        load_backbone(network.backbone, Path(pretrained), url=weights["url"])
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a state dict of the authors' training model to ours with ``auxiliary=True``.

    Two modules that the authors create and never call are dropped: ``ffm_4.up``, ``ffm_8.smooth``.

    Raises:
        KeyError: an entry that the authors' model does not have.
    """
    used = {name: value for name, value in entries.items() if not name.startswith(_NEVER_CALLED)}
    return {_rename(name): value for name, value in used.items()}


def _rename(name: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise KeyError(f"fanet: unexpected entry {name!r} in the authors' state dict")
