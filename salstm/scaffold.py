"""What ``salstm new`` writes: the files that a network or a dataset of one's own begins with, ready to run."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from pathlib import Path

INIT = '''"""{name}: what it is, whose, and where it was published."""

from __future__ import annotations

from torch import Tensor, nn

from baselines.{name}.model import Network


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says."""
    return Network(in_channels, out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map published weights to our names.

    Raises:
        KeyError: none are published.
    """
    raise KeyError("{name}: no weights are published")
'''
MODEL = '''"""The layers."""

from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """Two convolutions and a head: what you replace."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(16, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, out_channels, H, W)`` of frames ``(B, in_channels, H, W)``."""
        return self.head(self.body(x))
'''
CARD = """title: {name}
paper: {{title: not published, authors: not said, venue: not published, year: 2026, url: "https://example.org"}}
code: {{url: "https://example.org", commit: not said, file: not said}}
licence: not stated
datasets: []
input:
  size: 224
  multiple_of: 1  # sides that the structure allows
  smallest: 16
  fixed: false    # whether it is built for one size
  test_size: 32   # what the tests build it for
  channels: the first convolution has as many inputs as the image has channels
counts:
  - {{in_channels: 1, outputs: 4, size: 64, parameters: 2548, macs: 10289152}}
unused: []
features64: the last 1x1 convolution, built with 64 outputs
auxiliary: {{outputs: 0, note: none}}
weights: {{scratch: true, note: "PyTorch's default initialisation"}}
published: []
recipe: not published
protocol:
  selection: {{}}
  scale: not published
  threshold: not published
  postprocess: not published
decisions: {{}}
deviations: []
unverified: []
"""
TEST = '''"""{name} has the counts that its card says."""

from __future__ import annotations

import pytest

from tests.parity import counts

pytestmark = pytest.mark.parity


def test_counts_are_the_cards():
    counts.check("{name}")
'''
GRID = """# Laid over config.yaml: snakemake --cores all {target} --configfile {name}.yaml
name: {name}
grid: {{ synapse: [], acdc: [], isic2018: [{network}], cvc_clinicdb: [] }}
"""
DATASET = """# Laid over config.yaml: snakemake --cores all {name} --configfile {name}.yaml
# Every key: docs/add-a-dataset.md.
name: {name}
grid: {{ synapse: [], acdc: [], isic2018: [], cvc_clinicdb: [], {name}: [unet] }}
datasets:
  {name}:
    reader: folder          # or an nnU-Net raw dataset as it is
    raw: data/raw/{name}
    classes: {{ lesion: 1 }}  # name and number in the masks; 0 is the background
    group: null             # a regular expression: what it fits in a name is never divided
    frames: 1               # 3: a module sees the neighbours, too
    size: 224
"""
PLACES = ("images", "masks")


def network(name: str, root: Path, taken: Iterable[str]) -> list[Path]:
    """A folder under baselines/ with a small network and its card, its test, and a configuration that trains it.

    Args:
        name: of the network; a Python name.
        root: of the checkout.
        taken: names of networks that there are.

    Returns:
        The files.

    Raises:
        ValueError: a name that cannot be one, or is taken.
        FileNotFoundError: no checkout.
        FileExistsError: a file that is there; nothing is written then.
    """
    _check(name, taken)
    if not (root / "baselines" / "__init__.py").is_file():
        raise FileNotFoundError(f"{root}: no folder baselines here; run it in the checkout")
    folder = root / "baselines" / name
    texts = {
        folder / "__init__.py": INIT,
        folder / "model.py": MODEL,
        folder / "card.yaml": CARD,
        root / "tests" / "parity" / f"test_{name}.py": TEST,
        root / f"{name}.yaml": GRID,
    }
    words = {"name": name, "network": name, "target": "isic2018"}
    return _written({path: _filled(text, words, path) for path, text in texts.items()})


def dataset(name: str, root: Path, taken: Iterable[str]) -> list[Path]:
    """A configuration for images and masks of one's own, and the two folders where they go.

    Args:
        name: of the dataset.
        root: of the checkout, or any folder where Snakemake runs.
        taken: names of datasets that there are, of rules and the like.

    Returns:
        The configuration's file and the folders.

    Raises:
        ValueError: a name that cannot be one, or is taken.
        FileExistsError: a file that is there; nothing is written then.
    """
    _check(name, taken)
    written = _written({root / f"{name}.yaml": DATASET.format(name=name)})
    folders = [root / "data" / "raw" / name / place for place in PLACES]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return [*written, *folders]


def _filled(text: str, words: dict[str, str], path: Path) -> str:
    if path.suffix == ".py":  # braces there are Python's
        return text.replace("{name}", words["name"])
    return text.format(**words)


def _check(name: str, taken: Iterable[str]) -> None:
    fits = name.isidentifier() and name.isascii() and name == name.lower()
    if not fits or keyword.iskeyword(name) or name in set(taken):
        raise ValueError(
            f"{name!r}: a name of small letters, digits and _, no digit first, no word of Python is allowed, and none "
            f"that is taken"
        )


def _written(texts: dict[Path, str]) -> list[Path]:
    there = [path for path in texts if path.exists()]
    if there:
        raise FileExistsError(f"{there[0]} is there already; choose another name, or remove it")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)
