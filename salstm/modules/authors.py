"""State dicts of the authors' release under our names.

The authors' model holds the network as ``encoder.*`` and the module as ``lstmlayer.*``. A whole
checkpoint (on ACDC the network is MT-UNet with 64 outputs) loads into ``model = attach(network,
variant, classes)`` so::

    network.load_state_dict(baselines.from_authors("mtunet", encoder_entries(entries)))
    model.head.load_state_dict(from_authors(variant, entries))
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from salstm.vocabulary import VARIANTS, check

ENCODER = "encoder."
CELL = {"cell0.conv": "cell.conv"}
LINEAR = {
    f"attention.{letter}_matrix": name
    for letter, name in zip("qkv", ("query", "key", "value"), strict=True)
}
LAYERS = {"salstm": CELL, "lstmsa": LINEAR | CELL}  # of one direction: theirs to ours


OTHER = "LSTMSA of yeshunlong/LSTMSA (2025)"
OTHER_MARKS = (".fusion.", ".position_encoding.")
"""Parts of the names of another module that bears the name of the paper's."""


def check_module(entries: Iterable[str]) -> None:
    """Refuse the checkpoint of the other public module named LSTMSA.

    Raises:
        ValueError: it is one.
    """
    if any(mark in name for name in entries for mark in OTHER_MARKS if "net.cell" in name):
        raise ValueError(
            f"the entries are those of {OTHER}, another module than the paper's LSTMSA: it attends inside the "
            f"recurrent cell, from the input to the hidden state, with a linear fusion and a position encoding; its "
            f"weights fit nothing here. The paper's module is that of yeshunlong/SALSTM"
        )


def from_authors(variant: str, entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the module's entries to ours, ready for ``model.head.load_state_dict(strict=True)``.

    Args:
        variant: ``salstm`` or ``lstmsa``.
        entries: the authors' whole state dict, or its ``lstmlayer.*`` part; ``encoder.*`` is left
            aside, and ``encoder_entries`` returns it.

    Raises:
        ValueError: unknown variant, or one that the authors do not have; or entries of another module of its name.
        KeyError: a missing entry, or one that their module does not have.
    """
    if check("variant", variant, VARIANTS) not in LAYERS:
        raise ValueError(f"{variant}: not among the authors' models, which are {', '.join(LAYERS)}")
    names = _names(variant)
    check_module(entries)
    found = {name for name in entries if not name.startswith(ENCODER)}
    if missing := sorted(set(names) - found):
        raise KeyError(f"{variant}: the authors' entries {missing} are missing")
    if unexpected := sorted(found - set(names)):
        raise KeyError(f"{variant}: the authors' module has no entries {unexpected}")
    return {ours: _shaped(theirs, entries[theirs]) for theirs, ours in names.items()}


def encoder_entries(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's entries under the names that the network has alone; empty where there are none.

    Args:
        entries: the authors' whole state dict.
    """
    return {
        name.removeprefix(ENCODER): value
        for name, value in entries.items()
        if name.startswith(ENCODER)
    }


def _names(variant: str) -> dict[str, str]:
    layers = {
        f"{net}.{theirs}": f"{net}.{ours}"
        for net in ("forward_net", "reverse_net")
        for theirs, ours in LAYERS[variant].items()
    }
    layers["conv"] = "conv"
    return {
        f"lstmlayer.{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in layers.items()
        for kind in ("weight", "bias")
    }


def _shaped(name: str, value: Tensor) -> Tensor:
    """Their linear weights ``(64, 64)`` are our 1x1 convolutions ``(64, 64, 1, 1)``."""
    return value[:, :, None, None] if name.endswith("_matrix.weight") else value
