"""DAE-Former is the authors' function; attentions, expansion and initialisation by hand."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch
from torch import nn

import baselines
from baselines.daeformer import UNUSED
from baselines.daeformer.model import ChannelAttention, CrossBlock, PatchExpand, attend
from tests.parity import authors, counts

pytestmark = pytest.mark.parity
NAME = "daeformer"


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return baselines.build(NAME, in_channels=1, out_channels=2, image_size=32).eval()


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check(NAME)


def test_unused_tensors_are_those_of_the_card():
    golden = authors.load(NAME)
    sizes = {
        str(name): math.prod(int(side) for side in str(shape).split(","))
        for name, shape in zip(golden["names"], golden["shapes"], strict=True)
    }
    tensors = [[name for name in sizes if re.fullmatch(rule, name)] for rule in UNUSED]
    assert [len(names) for names in tensors] == [108, 4, 16, 68, 4]
    rows = [int(re.findall(r": (\d+) tensors", row)[0]) for row in baselines.card(NAME)["unused"]]
    assert rows == [108, 4, 16, 72]
    unused = sum(sizes[name] for names in tensors for name in names)
    assert {row["unused"] for row in baselines.card(NAME)["counts"]} == {unused}


def test_from_authors_names_what_does_not_fit():
    golden = authors.load(NAME)
    entries = {str(name): torch.zeros(()) for name in golden["names"]}
    with pytest.raises(KeyError, match=r"backbone\.block4\.0\.norm1\.weight"):
        baselines.from_authors(NAME, entries | {"backbone.block4.0.norm1.weight": torch.zeros(())})
    name = "decoder_2.cross_attn.attn.keys.weight"
    with pytest.raises(KeyError, match=name):
        baselines.from_authors(NAME, entries | {name: torch.zeros(())})
    with pytest.raises(KeyError, match=r"'head\.weight'"):  # ours beside theirs
        baselines.from_authors(NAME, entries | {"head.weight": torch.zeros(())})
    del entries["decoder_0.last_layer.bias"]
    with pytest.raises(KeyError, match=r"head\.bias"):
        baselines.from_authors(NAME, entries)


def test_efficient_attention_is_the_double_sum():
    keys, queries, values = (random(2, 2, 3, 4, seed=seed) for seed in (1, 2, 3))
    out = attend(keys, queries, values)
    expected = torch.zeros_like(out)
    for b in range(2):
        k, q, v = (x[b].reshape(6, 4) for x in (keys, queries, values))
        for position in range(6):
            share = torch.exp(q[position]) / torch.exp(q[position]).sum()  # over channels
            for channel in range(4):
                weight = torch.exp(k[:, channel]) / torch.exp(k[:, channel]).sum()  # over positions
                expected[b].view(6, 4)[position] += share[channel] * (weight[:, None] * v).sum(0)
    torch.testing.assert_close(out, expected)


def test_channel_attention_head_by_head():
    dim, heads = 16, 8
    module = ChannelAttention(dim).double()
    nn.init.uniform_(module.temperature, 0.5, 3)
    x = random(2, 3, 2, dim)
    with torch.no_grad():
        out = module(x)
        qkv = module.qkv(x).view(2, 6, 3, heads, 2)
        tokens = torch.zeros(2, 6, dim, dtype=torch.float64)
        for head in range(heads):
            q, k, v = (qkv[:, :, part, head].transpose(1, 2) for part in range(3))  # (B, 2, N)
            q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
            weights = torch.softmax(q @ k.transpose(1, 2) * module.temperature[head], dim=-1)
            tokens[:, :, 2 * head : 2 * head + 2] = (weights @ v).transpose(1, 2)
        expected = module.proj(tokens).view(2, 3, 2, dim)
    torch.testing.assert_close(out, expected)


def test_cross_block_takes_values_from_the_decoder():
    block = CrossBlock(8).double()
    x, skip = random(1, 2, 2, 8, seed=1), random(1, 2, 2, 8, seed=2)
    with torch.no_grad():
        right, swapped = block(x, skip), block(skip, x)
    assert not torch.allclose(right, torch.cat([swapped[..., 8:], swapped[..., :8]], dim=-1))
    assert right.shape == (1, 2, 2, 16)


@pytest.mark.parametrize("factor", [2, 4])
def test_expand_places_the_channels_as_the_authors_do(factor):
    expand = PatchExpand(3, 5, factor)
    x = torch.rand(2, 2, 3, 3)
    out, flat = expand(x), expand.linear(x)
    assert out.shape == (2, 2 * factor, 3 * factor, 5)
    for row in range(2 * factor):
        for column in range(3 * factor):
            channel = 5 * (row % factor * factor + column % factor)
            expected = flat[:, row // factor, column // factor, channel : channel + 5]
            torch.testing.assert_close(out[:, row, column], expand.norm(expected))


def test_images_of_a_batch_do_not_mix_and_sides_may_differ(network):
    x = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        both = network(x)
        alone = torch.cat([network(image[None]) for image in x])
        turned = network(x.transpose(2, 3))
    assert both.shape == (2, 2, 32, 48)
    assert turned.shape == (2, 2, 48, 32)
    assert both.is_contiguous()
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-5)


def test_one_channel_is_repeated(network):
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    colour = baselines.build(NAME, in_channels=3, out_channels=2, image_size=32).eval()
    colour.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(colour(x.repeat(1, 3, 1, 1)), network(x))


def test_takes_its_sizes_from_the_input_when_traced(network):
    images = torch.rand(2, 1, 32, 32), torch.rand(1, 1, 48, 32)
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")  # torch.jit itself is deprecated; fvcore needs it
        traced = torch.jit.trace(network, images[0], check_trace=False)
    assert not [w.message for w in caught if w.category.__name__ == "TracerWarning"]
    assert isinstance(traced, nn.Module)
    with torch.no_grad():
        torch.testing.assert_close(traced(images[1]), network(images[1]))


def test_decoder_is_xavier_and_the_rest_has_torch_s_defaults(network):
    for name, module in network.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        weight = module.weight
        fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
        xavier = not name.startswith("encoder.")
        bound = math.sqrt(6 / (fan_in + fan_out)) if xavier else 1 / math.sqrt(fan_in)
        assert 0.9 * bound < weight.abs().max() <= bound, name
        if module.bias is not None:
            assert (module.bias.abs().max() == 0) == xavier, name
