"""Surface distances: each of the three ways alone, against brute force and other people's transform."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from salstm.evaluation import distances, transform

SCALES = {2: (0.7, 0.7), 3: (3.0, 0.8, 0.8)}
SHAPES = {2: (19, 23), 3: (6, 17, 13)}
NAMES = ("START", "WHOLE", "QUERY", "VOXEL")
NEVER = math.inf
WAYS = {
    "whole": (0.0, 0.0, 1.0, 1.0),
    "tree": (NEVER, 0.0, 0.0, 1.0),
    "transform": (NEVER, 0.0, 1.0, 0.0),
}


def masks(ndim, share, seed=0):
    generator = np.random.default_rng(seed)
    noise = generator.random(SHAPES[ndim]) < share
    organ = np.zeros(SHAPES[ndim], dtype=bool)
    organ[tuple(slice(size // 3, size) for size in SHAPES[ndim])] = True
    return noise, organ


def brute(start, end, scale):
    """Distances between the surfaces' voxels, all with all."""
    places = []
    for mask in (start, end):
        padded = np.pad(mask, 1)
        inside = np.logical_and.reduce(
            [np.roll(padded, step, axis) for axis in range(mask.ndim) for step in (-1, 1)]
        )
        places.append(np.argwhere(padded & ~inside) * scale)
    return cdist(*places).min(axis=1)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_distances_of_brute_force(way, share, ndim, monkeypatch):
    for name, value in zip(NAMES, WAYS[way], strict=True):
        monkeypatch.setattr(distances, name, value)
    for module in (distances, transform):
        monkeypatch.setattr(module, "PIECE", 7)  # so that there are several pieces
    scale, pair = np.array(SCALES[ndim]), masks(ndim, share)
    found = distances.directed(*pair, scale)
    for one, (start, end) in zip(found, (pair, pair[::-1]), strict=True):
        np.testing.assert_allclose(np.sort(one), np.sort(brute(start, end, scale)), atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_the_way_is_taken(way, monkeypatch):
    """What the test above means to try is what runs."""
    for name, value in zip(NAMES, WAYS[way], strict=True):
        monkeypatch.setattr(distances, name, value)
    ran = []
    for name in ("_whole", "_tree", "_transform"):
        function = getattr(distances, name)
        monkeypatch.setattr(
            distances, name, lambda *given, f=function, n=name: (ran.append(n), f(*given))[1]
        )
    distances.directed(*masks(3, 0.5), np.array(SCALES[3]))
    assert ran == [f"_{way}"] * 2


def test_noise_of_a_first_epoch_is_not_asked_of_the_tree(monkeypatch):
    """Half a million queries of a tree take longer than the straightforward transform (nnU-Net's pull request 2303)."""
    asked, tree = [], distances._tree
    monkeypatch.setattr(
        distances, "_tree", lambda start, *rest: (asked.append(len(start)), tree(start, *rest))[1]
    )
    noise = np.random.default_rng(0).random((8, 128, 128)) < 0.2
    organ = np.zeros_like(noise)
    organ[2:6, 40:90, 40:90] = True
    found = distances.directed(noise, organ, np.array([3.0, 0.8, 0.8]))
    assert all(np.isfinite(one).all() and len(one) for one in found)
    assert max(asked, default=0) < 0.5 * noise.sum()


@pytest.fixture
def whole(monkeypatch):
    for name, value in zip(NAMES, WAYS["whole"], strict=True):
        monkeypatch.setattr(distances, name, value)


def test_a_row_does_not_reach_around_the_edge_of_the_image(whole):
    start, end = np.zeros((2, 5, 40), dtype=bool)
    start[2, 39], end[3, 0] = True, True  # neighbours in memory, far apart in the image
    for one in distances.directed(start, end, np.ones(2)):
        assert one == pytest.approx([np.hypot(1, 39)], abs=1e-12)


@pytest.mark.parametrize("length", [254, 255, 256, 300])
def test_what_is_too_far_for_sixteen_bits_is_as_exact(whole, length, monkeypatch):
    monkeypatch.delattr(distances, "_tree")
    monkeypatch.delattr(distances, "_transform")
    start, end = np.zeros((2, 3, 301, 301), dtype=bool)
    start[0, 300, 300], end[2, 300, 300 - length], end[1, 0, 300] = True, True, True
    there, _ = distances.directed(start, end, np.array([2.5, 1.0, 1.0]))
    assert there == pytest.approx([min(math.hypot(5, length), math.hypot(2.5, 300))], abs=1e-12)


def test_noise_far_from_a_small_organ_is_left_to_scipy(monkeypatch):
    """Hundreds of steps in 32 bits took twice as long as SciPy's transform."""
    noise = np.random.default_rng(0).random((2, 300, 300)) < 0.1
    organ = np.zeros_like(noise)
    organ[:, :9, :9] = True
    ran, way = [], distances._transform
    monkeypatch.setattr(distances, "_transform", lambda *given: (ran.append(1), way(*given))[1])
    found = distances.directed(noise, organ, np.array([3.0, 0.8, 0.8]))
    assert len(ran) == 1
    assert found[0].max() == pytest.approx(0.8 * math.hypot(291, 291), rel=0.05)


def test_what_is_too_far_for_the_whole_numbers_is_left_to_the_others(whole, monkeypatch):
    monkeypatch.setattr(transform, "MOST", 1 << 7)  # of six planes: 4 voxels
    pair, scale = masks(3, 0.02), np.array(SCALES[3])
    pair[1][:, 8:] = False
    served = []
    way = transform.squared
    monkeypatch.setattr(
        transform, "squared", lambda *given: (served.append(way(*given)), served[-1])[1]
    )
    found = distances.directed(*pair, scale)
    assert any(left.any() and len(squares) for squares, left in served)
    for one, (start, end) in zip(found, (pair, pair[::-1]), strict=True):
        np.testing.assert_allclose(np.sort(one), np.sort(brute(start, end, scale)), atol=1e-12)


@pytest.mark.parametrize(
    "scale", [(0.8, 3.0, 0.8), (0.8, 0.8, 3.0), (1.0, 1.0, 1.0), (1.0, 2.0, 3.0)]
)
def test_any_two_axes_may_have_one_spacing(whole, scale):
    pair, scale = masks(3, 0.2), np.array(scale)
    found = distances.directed(*pair, scale)
    for one, (start, end) in zip(found, (pair, pair[::-1]), strict=True):
        np.testing.assert_allclose(np.sort(one), np.sort(brute(start, end, scale)), atol=1e-12)


@pytest.mark.parametrize("ratio", [6.6, math.pi, 0.3, 2**0.5])
def test_offsets_are_ordered_as_their_squares(ratio):
    """Also where two have one whole part: 0.3^2 and 0.6^2."""
    codes, fractions = transform._codes(40, ratio, 1 << 20)
    squares = (np.arange(40) * ratio) ** 2
    assert (np.diff(codes) > 0).all()
    np.testing.assert_allclose((codes >> 6) + fractions[codes & 63], squares, rtol=1e-15)
