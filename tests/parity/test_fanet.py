"""FANet-18 (fast attention) against the authors' own outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import baselines
from baselines.fanet.model import FANet, FastAttention
from tests.parity import authors, counts
from tests.parity.measure import UNITS, measure

pytestmark = pytest.mark.parity

# Samples of the authors' two auxiliary outputs under another fill and a 512x512 input, of their code at d4e5e3c.
SAMPLES = [0, 47662, 95324, 142987, 190649, 238312, 285974, 333637, 381299, 428962, 476624, 524287]
# fmt: off
AUXILIARY = [
    [
        -43.617679595947266, -268.30877685546875, -229.0951690673828, -71.57742309570312,
        -41.479225158691406, -27.77120590209961, 90.13742065429688, 15.672008514404297,
        109.90483856201172, 92.2723388671875, 82.89848327636719, 50.25205993652344,
    ],
    [
        543.1730346679688, 479.7508850097656, 473.95172119140625, 583.9879150390625,
        589.6590576171875, 1444.1156005859375, -1783.457763671875, -2498.3134765625,
        -2361.44482421875, -2458.101318359375, -2325.85888671875, -167.0521697998047,
    ],
]
# fmt: on


def build(**options) -> FANet:
    network = baselines.build("fanet", in_channels=3, out_channels=2, image_size=64, **options)
    assert isinstance(network, FANet)
    return network


def other_fill(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    z = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith("running_var"):
        return torch.as_tensor(1 + 0.1 * np.abs(z))
    if len(shape) == 4:
        return torch.as_tensor(z * math.sqrt(2 / math.prod(shape[1:])))
    offset = 0 if name.endswith(("bias", "running_mean")) else 1
    return torch.as_tensor(offset + 0.1 * z)


@pytest.mark.extended
def test_auxiliary_outputs_are_the_authors():
    golden = authors.load("fanet")
    entries = {}
    for index, (name, text) in enumerate(zip(golden["names"], golden["shapes"], strict=True)):
        shape = tuple(int(side) for side in str(text).split(",") if side)
        entries[str(name)] = other_fill(str(name), shape, 1000 + index)
    network = build(auxiliary=True).eval()
    network.load_state_dict(baselines.from_authors("fanet", entries), strict=True)
    x = np.random.RandomState(7).standard_normal((1, 3, 512, 512)).astype(np.float32)
    with torch.no_grad():
        auxiliary = network.outputs(torch.as_tensor(x))[1:]
    (of_logits,) = measure("fanet").tolerances
    tolerance = UNITS * of_logits  # theirs and ours are in float32
    for ours, theirs in zip(auxiliary, AUXILIARY, strict=True):
        difference = authors.relative(ours.flatten()[SAMPLES].numpy(), np.array(theirs))
        print(f"difference {difference:.1e}, tolerance {tolerance:.1e}")  # noqa: T201 - by -rP
        assert difference < tolerance


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("fanet")


def test_fast_attention_is_the_sum_over_all_positions():
    torch.manual_seed(1)
    module = FastAttention(6).double().eval()
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    query, key, value = (layer(x).flatten(2) for layer in (module.query, module.key, module.value))
    y = torch.zeros_like(value)
    for b in range(2):
        for i in range(12):
            for j in range(12):
                cosine = functional.cosine_similarity(query[b, :, i], key[b, :, j], dim=0)
                y[b, :, i] += cosine * value[b, :, j]
    torch.testing.assert_close(module(x), x + module.leave(y.reshape(2, 6, 3, 4)))


def test_modules_that_only_training_needs_exist_only_there():
    plain = {name.split(".")[0] for name, _ in build().named_parameters()}
    full = {name.split(".")[0] for name, _ in build(auxiliary=True).named_parameters()}
    assert full - plain == {"smooth64", "auxiliary64", "auxiliary32"}
    assert plain <= full


def test_sides_that_no_stride_divides_are_fine():
    network = build().eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 40, 72)).shape == (1, 2, 40, 72)


def test_grey_is_repeated_to_three_channels():
    grey = baselines.build("fanet", in_channels=1, out_channels=2, image_size=64).eval()
    colour = build().eval()
    colour.load_state_dict(grey.state_dict())
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(grey(x), colour(x.repeat(1, 3, 1, 1)))


def test_unexpected_entry_is_named():
    for name in ("ffm_64.up.conv.weight", "clslayer_4.conv_out.weight", "x"):
        with pytest.raises(KeyError, match=name.replace(".", r"\.")):
            baselines.from_authors("fanet", {name: torch.zeros(1)})


def test_pretrained_file_of_torchvisions_layout_is_loaded(tmp_path):
    backbone = build().backbone
    # The released file predates num_batches_tracked and has no projection in layer 1.
    state = {
        key: torch.full_like(value, index / 100)
        for index, (key, value) in enumerate(backbone.state_dict().items())
        if "layer1.0.downsample" not in key and not key.endswith("num_batches_tracked")
    }
    file = tmp_path / "resnet18-5c106cde.pth"
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(state | classifier, file, _use_new_zipfile_serialization=False)
    loaded = build(pretrained=file).backbone.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())

    state["layer5.0.conv1.weight"] = state.pop("layer4.0.conv1.weight")
    torch.save(state, file)
    with pytest.raises(ValueError, match=r"missing \['layer4.0.conv1.weight'\].*layer5.0.conv1"):
        build(pretrained=file)
    with pytest.raises(FileNotFoundError, match=r"fetch https://.*data/weights/resnet18-5c106cde"):
        build(pretrained=tmp_path / "nothing.pth")
