"""Checkpoints: whole or absent, the one before kept, damage found, nothing unpickled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from salstm.training import checkpoint

STATE = {"model": {"a": torch.arange(5000.0)}, "state": {"epoch": 1}}


def test_what_is_saved_is_loaded_and_the_one_before_stays(tmp_path):
    path = tmp_path / "state.pt"
    for epoch in (1, 2, 3):
        checkpoint.save(path, {**STATE, "state": {"epoch": epoch}}, "key")
    loaded = checkpoint.load(path, "key")
    assert loaded is not None
    assert torch.equal(loaded["model"]["a"], STATE["model"]["a"])
    assert loaded["state"] == {"epoch": 3}
    path.unlink()
    loaded = checkpoint.load(path, "key")
    assert loaded is not None
    assert loaded["state"] == {"epoch": 2}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["state.pt.previous"]


def test_every_flipped_bit_of_a_weight_is_found(tmp_path, caplog):
    path = tmp_path / "state.pt"
    checkpoint.save(path, STATE, "key")
    good = path.read_bytes()
    weights = STATE["model"]["a"].numpy().tobytes()
    start = good.index(weights)
    for place in (start, start + len(weights) // 2, start + len(weights) - 1):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert checkpoint.load(path, "key") is None
    assert caplog.text.count("is damaged at") == 3


def test_code_is_never_run(tmp_path, caplog):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"key": "key", "state": Evil()}, tmp_path / "state.pt")
    assert checkpoint.load(tmp_path / "state.pt", "key") is None
    assert not (tmp_path / "ran").exists()
    assert "cannot be read" in caplog.text


def test_half_written_files_are_swept_and_nothing_else(tmp_path):
    for name in (".state.pt.77.part", "state.pt", "best_val-1.safetensors"):
        (tmp_path / name).touch()
    checkpoint.sweep(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["best_val-1.safetensors", "state.pt"]
    checkpoint.sweep(tmp_path / "none")


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b"", lambda b: b"x" * 100])
def test_weights_that_are_not_complete_are_named(tmp_path, change):
    path = tmp_path / "a.safetensors"
    assert not checkpoint.complete(path)
    checkpoint.save_weights(path, {"a": torch.zeros(100)})
    assert checkpoint.complete(path)
    path.write_bytes(change(path.read_bytes()))
    assert not checkpoint.complete(path)


def test_what_has_two_names_is_kept_under_both(tmp_path):
    """As MONAI's DynUNet, which refers to its blocks from two places."""
    block = torch.nn.Linear(2, 3)
    model = torch.nn.ModuleDict({"first": block, "second": torch.nn.Sequential(block)})
    state = model.state_dict()
    checkpoint.save_weights(tmp_path / "w.safetensors", {**state, "part": state["first.bias"][1:]})
    loaded = checkpoint.load_weights(tmp_path / "w.safetensors")
    assert torch.equal(loaded.pop("part"), block.bias[1:])
    model.load_state_dict(loaded)
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
