"""Preprocessed packages: volumes cut into slices, one ``.npz`` each, put together again."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def read(path: Path, image_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of an ``.npz`` file.

    Args:
        path: the file; its label's key is ``label``.
        image_key: the image's key, 'image' or 'img'.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, without the two arrays, or with arrays of different shapes.
    """
    try:
        with path.open("rb") as file, np.load(file) as content:
            image, label = content[image_key], content["label"]
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}); an .npz with the arrays {image_key} and label is "
            f"expected; unpack the package again"
        ) from error
    return checked(path, image, label)


def checked(path: Path, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of one shape.

    Raises:
        ValueError: they are not.
    """
    if image.shape != label.shape:
        raise ValueError(
            f"{path}: image {image.shape}, label {label.shape}; both must be alike; unpack the "
            f"package again"
        )
    return image, label


def volume(paths: Iterable[Path], image_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Slices ``(H, W)`` stacked to ``(D, H, W)``, in the order of the paths.

    Raises:
        FileNotFoundError: a slice is missing.
        ValueError: a damaged slice, or slices of different shapes.
    """
    paths = list(paths)
    slices = [read(path, image_key) for path in paths]
    for path, (image, _) in zip(paths, slices, strict=True):
        if image.shape != slices[0][0].shape:
            raise ValueError(
                f"{path}: slice {image.shape}, {paths[0].name} has {slices[0][0].shape}; slices of "
                f"a volume must be alike; unpack the package again"
            )
    return np.stack([image for image, _ in slices]), np.stack([label for _, label in slices])


def by_volume(paths: Iterable[Path], pattern: str) -> dict[tuple[str, ...], list[Path]]:
    """Group slice files by volume, in the order of their numbers, which are not padded everywhere.

    Args:
        paths: of the slices.
        pattern: a regular expression of the whole name; its last group is the number of the slice,
            the others name the volume. Other files are passed over.

    Returns:
        The volume's groups -> its slices from 0, sorted by volume.

    Raises:
        ValueError: a number is missing or there twice: neighbours would not be neighbours.
    """
    found: dict[tuple[str, ...], list[tuple[int, Path]]] = defaultdict(list)
    for path in paths:
        if named := re.fullmatch(pattern, path.name):
            *key, number = named.groups()
            found[tuple(key)].append((int(number), path))
    for slices in found.values():
        slices.sort()
        numbers = [number for number, _ in slices]
        if numbers != list(range(len(numbers))):
            wrong = next(k for k, number in enumerate(numbers) if number != k)
            raise ValueError(
                f"{slices[wrong][1]}: {'twice' if numbers[wrong] < wrong else 'follows a gap'}; "
                f"slice {wrong} of its volume is expected; unpack the package again"
            )
    return {key: [path for _, path in slices] for key, slices in sorted(found.items())}
