"""MISSFormer is the authors' function; cuts, expansion and initialisation by hand."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch
from torch import nn

import baselines
from baselines.missformer import UNUSED
from baselines.missformer.model import BridgeReduction, PatchExpand, cut, glue
from tests.parity import authors, counts

pytestmark = pytest.mark.parity
NAME = "missformer"


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return baselines.build(NAME, in_channels=1, out_channels=2, image_size=64).eval()


def maps(height: int, width: int) -> list[torch.Tensor]:
    """Feature maps of the four scales, smallest ``height`` x ``width``, every value different."""
    shapes = [
        (2, 2**k * height, 2**k * width, c) for k, c in ((3, 64), (2, 128), (1, 320), (0, 512))
    ]
    return [torch.arange(math.prod(shape), dtype=torch.float64).view(shape) for shape in shapes]


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
    assert [len(names) for names in tensors] == [128, 2, 36]
    rows = [int(re.findall(r": (\d+) tensors", row)[0]) for row in baselines.card(NAME)["unused"]]
    assert rows == [128, 2, 36]
    unused = sum(sizes[name] for names in tensors for name in names)
    assert {row["unused"] for row in baselines.card(NAME)["counts"]} == {unused}


def test_from_authors_names_what_does_not_fit():
    golden = authors.load(NAME)
    entries = {str(name): torch.zeros(()) for name in golden["names"]}
    with pytest.raises(KeyError, match=r"backbone\.block5\.0\.attn\.q\.weight"):
        baselines.from_authors(NAME, entries | {"backbone.block5.0.attn.q.weight": torch.zeros(())})
    name = "decoder_3.layer_former_1.attn.sr.weight"
    with pytest.raises(KeyError, match=name):
        baselines.from_authors(NAME, entries | {name: torch.zeros(())})
    with pytest.raises(KeyError, match=r"'head\.weight'"):  # ours beside theirs
        baselines.from_authors(NAME, entries | {"head.weight": torch.zeros(())})
    del entries["decoder_0.last_layer.bias"]
    with pytest.raises(KeyError, match=r"head\.bias"):
        baselines.from_authors(NAME, entries)


def test_cut_gives_each_pixel_consecutive_tokens_and_glue_undoes_it():
    levels = maps(1, 2)
    tokens = cut(levels)
    assert tokens.shape == (2, 128 + 64 + 40 + 16, 64)
    first = 128  # tokens of level 0: 8 x 16 pixels
    for pixel, part in ((0, 0), (3, 1), (31, 0)):
        row, column = divmod(pixel, 8)
        expected = levels[1][1, row, column, 64 * part : 64 * part + 64]
        assert torch.equal(tokens[1, first + 2 * pixel + part], expected)
    assert all(torch.equal(a, b) for a, b in zip(glue(tokens, levels), levels, strict=True))


@pytest.mark.parametrize("m", [1, 2, 5])
def test_recut_is_the_authors_order(m):
    height, width = 2, 3
    n = height * width
    x = torch.arange(2 * 64 * m * n).view(2, 64 * m, height, width)
    tokens = BridgeReduction.recut(x)
    assert tokens.shape == (2, m * n, 64)
    for j in range(m * n):
        for k in range(64):
            row, column = divmod(j % n, width)
            assert torch.equal(tokens[:, j, k], x[:, m * k + j // n, row, column])
    straight = cut([x.permute(0, 2, 3, 1)])
    assert torch.equal(tokens, straight) == (m == 1)


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
    x = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        both = network(x)
        alone = torch.cat([network(image[None]) for image in x])
        turned = network(x.transpose(2, 3))
    assert both.shape == (2, 2, 64, 96)
    assert turned.shape == (2, 2, 96, 64)
    assert both.is_contiguous()
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-5)


def test_one_channel_is_repeated(network):
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    colour = baselines.build(NAME, in_channels=3, out_channels=2, image_size=32).eval()
    colour.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(colour(x.repeat(1, 3, 1, 1)), network(x))


def test_takes_its_sizes_from_the_input_when_traced(network):
    images = torch.rand(2, 1, 64, 64), torch.rand(1, 1, 96, 64)
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
        xavier = not name.startswith(("encoder.", "bridge."))
        bound = math.sqrt(6 / (fan_in + fan_out)) if xavier else 1 / math.sqrt(fan_in)
        assert 0.9 * bound < weight.abs().max() <= bound, name
        if module.bias is not None:
            assert (module.bias.abs().max() == 0) == xavier, name
