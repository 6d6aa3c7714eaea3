"""TransUNet is the authors' function and takes the weights that they start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

import baselines
from baselines.transunet import WEIGHTS_PATH, WEIGHTS_URL, model
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("transunet")


def test_entries_that_do_not_fit_are_named():
    state = {str(name): torch.zeros(1) for name in authors.load("transunet")["names"]}
    assert len(baselines.from_authors("transunet", state)) == len(state)
    with pytest.raises(KeyError, match=r"unexpected.*transformer\.cls"):
        baselines.from_authors("transunet", {**state, "transformer.cls": torch.zeros(1)})
    del state["segmentation_head.0.bias"]
    with pytest.raises(KeyError, match=r"missing.*head\.bias"):
        baselines.from_authors("transunet", state)


@pytest.mark.parametrize("size", [32, 48, 80, 224])
def test_the_stage_1_skip_is_one_pixel_short_and_padded_with_zeros(size):
    resnet = model.ResNet().eval()
    with torch.no_grad():
        x, (eighth, quarter, half) = resnet(torch.rand(1, 3, size, size))
    assert x.shape == (1, 1024, size // 16, size // 16)
    assert eighth.shape == (1, 512, size // 8, size // 8)
    assert quarter.shape == (1, 256, size // 4, size // 4)
    assert half.shape == (1, 64, size // 2, size // 2)
    assert not quarter[..., -1, :].any()
    assert not quarter[..., -1].any()
    assert quarter[..., -2, :].any()
    assert quarter[..., -2].any()


def test_runs_at_a_multiple_of_16_that_is_none_of_32():
    network = baselines.build("transunet", in_channels=3, out_channels=2, image_size=48).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 48, 48))
        assert logits.shape == (1, 2, 48, 48)
        assert torch.isfinite(logits).all()
        with pytest.raises(ValueError, match="built for 48"):
            network(torch.rand(1, 3, 224, 224))


def test_dropout_and_initialisation_are_the_authors():
    torch.manual_seed(0)
    mlp, embedding = model.MLP(), model.Embedding(16)
    bound = (6 / (768 + 3072)) ** 0.5
    for layer in (mlp.fc1, mlp.fc2):
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert 0 < layer.bias.abs().max() < 1e-5
    assert not embedding.position.any()
    outputs = (mlp(torch.randn(64, 768)), embedding(torch.randn(2, 1024, 4, 4)))
    for output in outputs:
        assert 0.08 < (output == 0).float().mean() < 0.12


# The pretrained file: the layout of Google's ViT release, written down by hand.


def npz_layout() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv_root/kernel": (7, 7, 3, 64), "cls": (1, 1, 768)}
    shapes |= {"gn_root/scale": (64,), "gn_root/bias": (64,)}
    before = 64
    for block, (units, width) in enumerate([(3, 64), (4, 128), (9, 256)], start=1):
        for unit in range(1, units + 1):
            at = f"block{block}/unit{unit}/"
            sizes = {"1": (1, 1, before, width), "2": (3, 3, width, width)}
            sizes |= {"3": (1, 1, width, 4 * width)}
            shapes |= {f"{at}conv{i}/kernel": size for i, size in sizes.items()}
            for part in ("scale", "bias"):
                shapes |= {f"{at}gn{i}/{part}": (size[-1],) for i, size in sizes.items()}
                if unit == 1:  # some releases keep leading ones
                    shapes[f"{at}gn_proj/{part}"] = (1, 1, 1, 4 * width)
            if unit == 1:
                shapes[f"{at}conv_proj/kernel"] = (1, 1, before, 4 * width)
            before = 4 * width
    shapes |= {"embedding/kernel": (1, 1, 1024, 768), "embedding/bias": (768,)}
    shapes["Transformer/posembed_input/pos_embedding"] = (1, 197, 768)
    shapes |= {f"Transformer/encoder_norm/{part}": (768,) for part in ("scale", "bias")}
    for layer in range(12):
        at = f"Transformer/encoderblock_{layer}/"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{at}{norm}/{part}": (768,) for part in ("scale", "bias")}
        attention = f"{at}MultiHeadDotProductAttention_1/"
        for part in ("query", "key", "value"):
            shapes |= {f"{attention}{part}/kernel": (768, 12, 64)}
            shapes |= {f"{attention}{part}/bias": (12, 64)}
        shapes |= {f"{attention}out/kernel": (12, 64, 768), f"{attention}out/bias": (768,)}
        shapes |= {f"{at}MlpBlock_3/Dense_0/kernel": (768, 3072)}
        shapes |= {f"{at}MlpBlock_3/Dense_0/bias": (3072,)}
        shapes |= {f"{at}MlpBlock_3/Dense_1/kernel": (3072, 768)}
        shapes |= {f"{at}MlpBlock_3/Dense_1/bias": (768,)}
    return shapes | {"pre_logits/bias": (768,), "head/kernel": (768, 3), "head/bias": (3,)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A made-up file of the right layout; no two arrays start with the same values."""
    pattern = (np.arange(3_000_000, dtype=np.float32) * np.float32(0.618)) % 1 - np.float32(0.5)
    arrays = {}
    for index, (name, shape) in enumerate(npz_layout().items()):
        arrays[name] = pattern[index : index + int(np.prod(shape))].reshape(shape)
    path = tmp_path_factory.mktemp("weights") / "R50+ViT-B_16.npz"
    np.savez(path, **arrays)
    yield path, arrays
    path.unlink()


def test_pretrained_fills_all_but_decoder_and_head(weights):
    path, arrays = weights
    torch.manual_seed(0)
    network = model.TransUNet(1, 2, 224)
    scratch = network.state_dict()
    torch.manual_seed(0)
    loaded = baselines.build(
        "transunet", in_channels=1, out_channels=2, image_size=224, pretrained=path
    ).state_dict()
    for name, value in loaded.items():
        kept = name.startswith(("decoder.", "head."))
        assert torch.equal(value, scratch[name]) == kept, name
    used = sum(array.size for name, array in arrays.items() if not name.startswith("pre_logits"))
    filled = sum(
        value.numel() for k, value in loaded.items() if not k.startswith(("decoder.", "head."))
    )
    assert filled == used - 768 - 768 - 768 * 3 - 3  # class token, its position, head
    position = arrays["Transformer/posembed_input/pos_embedding"]
    assert np.array_equal(loaded["embedding.position"].numpy(), position[:, 1:])
    for ours, theirs in (
        ("resnet.root.conv", "conv_root"),
        ("resnet.block2.unit3.conv2", "block2/unit3/conv2"),
        ("resnet.block3.unit1.shortcut.conv", "block3/unit1/conv_proj"),
        ("embedding.project", "embedding"),
    ):
        kernel = arrays[f"{theirs}/kernel"]
        for h, w, i, o in ((0, 0, 0, 0), (-1, 0, 1, 5), (0, -1, 2, 7)):
            assert loaded[f"{ours}.weight"][o, i, h, w] == kernel[h, w, i, o]
    norm = loaded["resnet.block1.unit1.shortcut.norm.bias"].numpy()
    assert np.array_equal(norm, arrays["block1/unit1/gn_proj/bias"].ravel())
    norm = loaded["transformer.layers.3.norm2.weight"].numpy()
    assert np.array_equal(norm, arrays["Transformer/encoderblock_3/LayerNorm_2/scale"])


def test_pretrained_layers_compute_what_the_file_means_at_another_size(weights):
    path, arrays = weights
    network = baselines.build(
        "transunet", in_channels=1, out_channels=2, image_size=64, pretrained=str(path)
    )
    layer = network.get_submodule("transformer.layers.11")
    at = "Transformer/encoderblock_11/"
    x = np.linspace(-1, 1, 768, dtype=np.float32)
    rules = {
        "attention.query": ("MultiHeadDotProductAttention_1/query", "c,chd->hd", x),
        "attention.value": ("MultiHeadDotProductAttention_1/value", "c,chd->hd", x),
        "attention.out": ("MultiHeadDotProductAttention_1/out", "hd,hdc->c", x.reshape(12, 64)),
        "mlp.fc1": ("MlpBlock_3/Dense_0", "c,cd->d", x),
    }
    for ours, (theirs, rule, value) in rules.items():
        expected = np.einsum(rule, value, arrays[f"{at}{theirs}/kernel"])
        expected = (expected + arrays[f"{at}{theirs}/bias"]).ravel()
        with torch.no_grad():
            result = layer.get_submodule(ours)(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3)
    table = arrays["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(14, 14, 768)
    resized = np.asarray(ndimage.zoom(table, (4 / 14, 4 / 14, 1), order=1)).reshape(1, 16, 768)
    ours = network.state_dict()["embedding.position"].numpy()
    np.testing.assert_allclose(ours, resized, atol=1e-5)


def test_a_missing_or_wrong_pretrained_file_is_explained(tmp_path: Path):
    def build(path: Path):
        baselines.build("transunet", in_channels=1, out_channels=2, image_size=32, pretrained=path)

    weights = baselines.card("transunet")["weights"]
    assert weights["url"] == WEIGHTS_URL
    assert f"data/weights/{weights['file']}" == WEIGHTS_PATH
    with pytest.raises(FileNotFoundError, match=r"R50\+ViT-B_16\.npz.*data/weights"):
        build(tmp_path / "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("<html>sign in</html>")
    with pytest.raises(ValueError, match="no npz archive"):
        build(text)
    other = tmp_path / "other.npz"
    np.savez(other, kernel=np.zeros(3))
    with pytest.raises(ValueError, match=r"lacks .*Transformer.*unexpected 1 entries \(kernel\)"):
        build(other)
    shapes = tmp_path / "shapes.npz"
    tables: dict[str, Any] = {name: np.zeros((1, 5)) for name in npz_layout()}
    np.savez(shapes, **tables)
    with pytest.raises(ValueError, match=r"conv_root/kernel has shape \(1, 5\)"):
        build(shapes)
