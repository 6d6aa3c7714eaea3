"""The contract every network keeps: shapes, gradients, independence, determinism, clear errors."""

from __future__ import annotations

import pytest
import torch

import baselines
from salstm.training.inference import ready

pytestmark = pytest.mark.filterwarnings("ignore:.*TracerWarning")


def make(name: str, channels: int = 1, outputs: int = 2, **options) -> torch.nn.Module:
    size = baselines.card(name)["input"]["test_size"]
    return baselines.build(
        name, in_channels=channels, out_channels=outputs, image_size=size, **options
    )


def images(name: str, channels: int, batch: int = 2) -> torch.Tensor:
    size = baselines.card(name)["input"]["test_size"]
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("channels", "outputs"), [(1, 2), pytest.param(3, 64, marks=pytest.mark.extended)]
)
@pytest.mark.parametrize("name", baselines.names())
def test_gives_logits_at_input_size_and_gradients_to_every_parameter(name, channels, outputs):
    network = make(name, channels, outputs)
    x = images(name, channels)
    network.train()
    logits = network(x)
    assert isinstance(logits, torch.Tensor), "auxiliary outputs without auxiliary=True"
    assert logits.shape == (2, outputs, *x.shape[2:])
    assert torch.isfinite(logits).all()
    weight = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    (logits * weight).sum().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None]
    assert not without
    network.eval()
    with torch.no_grad():
        logits = network(x)
        again = network(x)
    assert logits.shape == (2, outputs, *x.shape[2:])
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, again)
    if outputs == 64:  # with two outputs, the head's random biases may lie inside [0, 1]
        assert logits.min() < 0 or logits.max() > 1, "looks like probabilities, not logits"


@pytest.mark.extended
@pytest.mark.parametrize("name", baselines.names())
def test_auxiliary_outputs_come_in_training_only(name):
    count = baselines.card(name)["auxiliary"]["outputs"]
    if not count:
        with pytest.raises(TypeError, match="auxiliary"):
            make(name, auxiliary=True)
        return
    network = make(name, auxiliary=True)
    x = images(name, 1)
    outputs = network.train()(x)
    assert isinstance(outputs, tuple)
    assert len(outputs) == 1 + count
    assert all(output.shape[2:] == x.shape[2:] for output in outputs)
    torch.stack([output.mean() for output in outputs]).sum().backward()
    assert all(value.grad is not None for value in network.parameters())
    assert isinstance(network.eval()(x), torch.Tensor)


@pytest.mark.extended
@pytest.mark.parametrize("name", baselines.names())
def test_same_seed_gives_the_same_network_and_two_networks_share_nothing(name):
    state = torch.get_rng_state()
    torch.manual_seed(3)
    first = make(name)
    torch.manual_seed(3)
    second = make(name)
    torch.set_rng_state(state)
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    pointers = {value.data_ptr() for value in first.parameters()}
    assert not pointers & {value.data_ptr() for value in second.parameters()}


@pytest.mark.extended
@pytest.mark.parametrize("name", baselines.names())
def test_building_leaves_the_generator_to_the_caller(name):
    torch.manual_seed(4)
    make(name)
    first = torch.rand(1)
    torch.manual_seed(5)
    make(name)
    assert not torch.equal(first, torch.rand(1)), "build seeds the global generator"


@pytest.mark.extended
@pytest.mark.parametrize("name", baselines.names())
def test_channels_innermost_is_the_same_function(name):
    """As predictions on a CPU and ``machine.channels_last`` run it."""
    network, x = make(name, 3).double(), images(name, 3).double()
    with torch.no_grad():
        expected = network.eval()(x)
        ready(network, torch.device("cpu"))
        found = network(x)
    weights = [one for one in network.parameters() if one.ndim == 4 and min(one.shape[1:]) > 1]
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in weights)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", baselines.names())
def test_says_which_sizes_it_takes(name):
    rule = baselines.card(name)["input"]
    with pytest.raises(ValueError, match=f"multiples of {rule['multiple_of']}"):
        baselines.build(name, in_channels=1, out_channels=2, image_size=rule["smallest"] - 1)
    network = make(name).eval()
    size = rule["test_size"]
    with pytest.raises(ValueError, match=name):
        network(torch.zeros(1, 1, size + 1, size + 1))
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        network(torch.zeros(1, 2, size, size))


@pytest.mark.parametrize("name", baselines.names())
def test_the_card_says_how_many_items_a_training_needs(name):
    """Batch norm of 1x1 maps has no statistics of one item; a plan refuses such a batch by the card."""
    network, smallest = (
        make(name, 3).train(),
        baselines.card(name)["input"].get("smallest_batch", 1),
    )
    with torch.no_grad():
        network(images(name, 3, smallest))
        if smallest > 1:
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                network(images(name, 3, smallest - 1))


@pytest.mark.parametrize("name", ["my-net", "2dunet", "class"])
def test_a_folder_that_no_import_can_say_is_refused_by_name(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    (tmp_path / name / "card.yaml").write_text("title: x\n")
    monkeypatch.setattr(baselines, "FOLDER", tmp_path)
    baselines.names.cache_clear()
    try:
        with pytest.raises(ValueError, match=f"baselines/{name}: .* must be a Python name"):
            baselines.names()
    finally:
        monkeypatch.undo()
        baselines.names.cache_clear()


def test_unknown_name_option_and_channels_are_explained():
    with pytest.raises(ValueError, match="Did you mean unet"):
        baselines.build("unett", in_channels=1, out_channels=2, image_size=64)
    with pytest.raises(TypeError, match="unknown option 'depth'"):
        baselines.build("unet", in_channels=1, out_channels=2, image_size=64, depth=3)
    with pytest.raises(ValueError, match="1 and 3 are allowed"):
        baselines.build("unet", in_channels=2, out_channels=2, image_size=64)
