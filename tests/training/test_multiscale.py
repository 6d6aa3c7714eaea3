"""Multi-scale batches: the draw follows from seed and iteration, in the shares of the list; soft masks."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from salstm.optimisation import losses
from salstm.training import multiscale

SIZES = [256, 320, 320, 384, 384, 448]


def test_the_draw_repeats_itself_and_has_the_shares_of_the_list():
    drawn = [multiscale.draw(SIZES, 3, iteration) for iteration in range(6000)]
    assert drawn == [multiscale.draw(SIZES, 3, iteration) for iteration in range(6000)]
    assert drawn != [multiscale.draw(SIZES, 4, iteration) for iteration in range(6000)]
    share = {size: count / 6000 for size, count in Counter(drawn).items()}
    assert share == pytest.approx({256: 1 / 6, 320: 1 / 3, 384: 1 / 3, 448: 1 / 6}, abs=0.02)


def test_the_list_is_what_the_authors_formula_gives():
    sizes = Counter(number // 64 * 64 for number in range(288, 480))
    assert {size: count * 6 / 192 for size, count in sizes.items()} == Counter(SIZES)


def test_image_and_mask_shrink_together_for_one_frame_and_for_three():
    # Halving without corner alignment is the mean of each 2 x 2 block.
    image = torch.arange(2 * 3 * 1 * 4 * 4, dtype=torch.float32).reshape(2, 3, 1, 4, 4)
    label = torch.tensor([[[0, 2, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]]] * 2)
    small, mask = multiscale.resized(image, label, 2)
    expected = image.reshape(2, 3, 1, 2, 2, 2, 2).mean((-3, -1))
    assert torch.allclose(small, expected)
    assert mask.tolist() == [[[0.25, 1.0], [0.0, 0.75]]] * 2
    assert torch.equal(multiscale.resized(image[:, 0], label, 2)[0], small[:, 0])


def test_a_soft_mask_counts_by_its_share():
    loss = losses.soft_dice()
    logits = torch.full((1, 1, 1, 2), 0.0)  # probability one half
    # 1 - (2 * (0.5 * 0.25 + 0.5 * 1) + 1) / (1 + 1.25 + 1)
    assert loss((logits,), torch.tensor([[[0.25, 1.0]]])).item() == pytest.approx(1 - 2.25 / 3.25)
