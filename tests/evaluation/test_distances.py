"""Surface distances: each of the three ways alone, against brute force and other people's transform."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from salstm.evaluation import distances

SCALES = {2: (0.7, 1.9), 3: (3.0, 0.8, 0.8)}
SHAPES = {2: (19, 23), 3: (6, 17, 13)}
NAMES = ("DENSE", "MANY", "QUERY", "HITS")
WAYS = {"offsets": (0.0, 0, 3e-6, 0.0), "tree": (1.0, 0, 0.0, 0.0), "transform": (1.0, 0, 1e9, 0.0)}


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
    monkeypatch.setattr(distances, "PIECE", 7)  # so that a transform is read out in several pieces
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
    for name in ("_offsets", "_tree", "_transform"):
        function = getattr(distances, name)
        monkeypatch.setattr(
            distances, name, lambda *given, f=function, n=name: (ran.append(n), f(*given))[1]
        )
    distances.directed(*masks(3, 0.5), np.array(SCALES[3]))
    assert ran[0] == f"_{way}"


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


def test_an_offset_does_not_reach_around_the_edge_of_the_image(monkeypatch):
    monkeypatch.setattr(distances, "DENSE", 0.0)
    monkeypatch.setattr(distances, "MANY", 0)
    monkeypatch.setattr(distances, "HITS", 0.0)
    start, end = np.zeros((2, 5, 40), dtype=bool)
    start[2, 39], end[3, 0] = True, True  # neighbours in memory, far apart in the image
    for one in distances.directed(start, end, np.ones(2)):
        assert one == pytest.approx([np.hypot(1, 39)])
