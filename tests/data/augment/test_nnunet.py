"""nnU-Net's augmentation: odds and ranges counted, single changes against batchgeneratorsv2 where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from salstm.data.augment import nnunet
from tests.data.draws import DRAWS, Calls, fills, many, near, window


@pytest.mark.extended
def test_odds_and_ranges(monkeypatch):
    noise = Calls(monkeypatch, nnunet.colour, "noise")
    moved = Calls(monkeypatch, nnunet, "warp")
    turned = Calls(monkeypatch, nnunet, "rotation")
    bent = Calls(monkeypatch, nnunet, "_gamma")
    contrast = Calls(monkeypatch, nnunet, "_contrasted")
    mirrored = Calls(monkeypatch, nnunet, "flipped")
    many("nnunet", side=16)
    assert near(len(noise), 0.1)
    assert fills([args[1] for args, _ in noise], 0, 0.1)
    assert near(len(moved), 1 - 0.8 * 0.8)
    angles = [args[0] for args, _ in turned if args[0] != 0]
    assert near(len(angles), 0.2)
    assert fills(angles, -180, 180)
    # Three channels each.
    assert near(len(contrast) // 3, 0.15)
    assert near(len(bent) // 3, 0.4, 2 * DRAWS // 2)
    assert near(len(mirrored), 0.5, 2 * DRAWS)
    factors = [args[1] for args, _ in contrast]
    assert near(sum(one < 1 for one in factors), 0.5, len(factors))
    assert 0.75 <= min(factors) < 0.8
    assert 1.2 < max(factors) <= 1.25


@pytest.mark.parametrize("share", [0.5, 0.63, 1.0])
def test_low_resolution_is_torchs(share):
    image = np.random.default_rng(0).random((2, 21, 30), dtype=np.float32)
    few = [round(side * share) for side in image.shape[1:]]
    tensor = torch.from_numpy(image)[:, None]
    down = torch.nn.functional.interpolate(tensor, few, mode="nearest-exact")
    expected = torch.nn.functional.interpolate(down, image.shape[1:], mode="bilinear")
    found = nnunet._coarse(image, share)
    np.testing.assert_allclose(found, expected[:, 0].numpy(), atol=1e-6)


def test_gamma_and_contrast_are_batchgenerators():
    gamma, contrast = (
        pytest.importorskip(
            f"batchgeneratorsv2.transforms.intensity.{one}",
            reason="batchgeneratorsv2 is in no lock of ours",
        )
        for one in ("gamma", "contrast")
    )
    image = np.random.default_rng(1).normal(size=(1, 12, 14)).astype(np.float32)
    kept = {"synchronize_channels": False, "p_per_channel": 1}
    for exponent in (0.7, 1.4):
        bend = gamma.GammaTransform((exponent, exponent), 0, p_retain_stats=1, **kept)
        expected = bend(image=torch.from_numpy(image.copy()))["image"].numpy()
        # Theirs keeps the deviation with n - 1 below and adds 1e-7; ours keeps that with n.
        np.testing.assert_allclose(nnunet._gamma(image, exponent), expected, atol=1e-5)
    stretch = contrast.ContrastTransform((1.2, 1.2), preserve_range=True, **kept)
    expected = stretch(image=torch.from_numpy(image.copy()))["image"].numpy()
    np.testing.assert_allclose(nnunet._contrasted(image, 1.2), expected, atol=1e-6)


def test_what_is_outside_is_the_mean_and_values_come_back():
    frames, label = window(24, 1)
    grey = frames[..., 0] / np.float32(255)
    for seed in range(30):
        changed, truth = nnunet.nnunet(grey, label, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert changed.shape == grey.shape
        assert truth.shape == label.shape
        assert abs(float(changed.mean() - grey.mean())) < 0.3


def test_a_scale_above_one_makes_things_small():
    class Fixed:
        """Scales, and turns nothing."""

        def __init__(self) -> None:
            self.odds = iter((0.5, 0.1))

        def random(self) -> float:
            return next(self.odds)

        def uniform(self, low: float, high: float) -> float:
            return high

    values = np.ones((1, 41, 41, 1), np.float32)
    label = np.ones((41, 41), np.uint8)
    _, truth = nnunet._moved(values, label, Fixed())  # pyright: ignore[reportArgumentType]
    rows = np.flatnonzero(truth.any(axis=1))
    assert len(rows) == pytest.approx(41 / 1.4, abs=1.1)


def test_image_and_label_move_together(monkeypatch):
    """Frames that show their label, of mean 0 outside: after 40 moves and mirrorings they show it still."""
    label = np.zeros((64, 64), np.uint8)
    label[6:24, 5:30], label[30:60, 40:60], label[5:20, 40:58] = 1, 2, 3
    frames = np.tile((label * np.float32(60))[None], (2, 1, 1))
    monkeypatch.setattr(nnunet, "_painted", lambda values, _: values)
    generator, moved = np.random.default_rng(8), 0
    for _ in range(40):
        image, truth = nnunet.nnunet(frames, label, generator)
        inside = ndimage.maximum_filter(truth, 5) == ndimage.minimum_filter(truth, 5)
        inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = (
            False  # an edge may lie just outside
        )
        shown = inside & (truth > 0)
        assert (np.abs(image[0] - 60.0 * truth)[shown] > 1).mean() < 1e-3
        np.testing.assert_array_equal(image[0], image[1])
        moved += not np.array_equal(truth, label)
    assert moved > 10
