"""Parameter and multiply-add counts of a network against its card."""

from __future__ import annotations

import logging

import torch
from fvcore.nn import FlopCountAnalysis

import baselines


def check(name: str) -> None:
    """Compare every row of the card's ``counts`` with what is measured here.

    A row holds in_channels, outputs, size, ``parameters`` (the authors' total), ``unused`` (their tensors
    that no forward pass reads, which we do not create), ``macs`` (the authors', by fvcore; may be absent) and
    ``our_macs`` where ours differ by more than 0.1 %, with ``why``.
    """
    rows = baselines.card(name)["counts"]
    assert rows, f"{name}: the card has no counts"
    for row in rows:
        network = baselines.build(
            name,
            in_channels=row["in_channels"],
            out_channels=row["outputs"],
            image_size=row["size"],
            **row.get("options", {}),
        ).eval()
        ours = sum(parameter.numel() for parameter in network.parameters())
        assert ours == row["parameters"] - row.get("unused", 0), f"{name} {row}: {ours} parameters"
        if "macs" in row:
            expected = row.get("our_macs", row["macs"])
            assert ("our_macs" in row) == ("why" in row)
            macs = _macs(network, row["in_channels"], row["size"])
            assert abs(macs - expected) <= 1e-3 * expected, f"{name} {row}: {macs} MACs"


def _macs(network: torch.nn.Module, channels: int, size: int) -> float:
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        analysis = FlopCountAnalysis(network, torch.zeros(1, channels, size, size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return float(analysis.total())
