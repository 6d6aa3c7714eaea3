"""ISIC2018 task 1: dermoscopic photographs of skin lesions.

N. Codella et al., "Skin Lesion Analysis Toward Melanoma Detection 2018", arXiv:1902.03368;
P. Tschandl, C. Rosendahl, H. Kittler, "The HAM10000 dataset", Sci Data 5:180161, 2018.
CC BY-NC 4.0.

A case is one image, which is its own group and stack: the archives do not say which images are of
one patient or lesion. The audit looks for near duplicates instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from salstm.data import splits
from salstm.data.case import RawCase, Reading
from salstm.data.readers import layout, pictures

CLASSES = ("lesion",)
NORMALISE = "none"
URL = "https://challenge.isic-archive.com/data/#2018"
PARTS = {"Training": "train", "Validation": "val", "Test": "test"}

SMALLEST = 540
"""Pixels of the shortest side in the official archives."""

_PLACES = (".", "ISIC2018", "isic2018")


def find(raw: Path | str) -> Path:
    """The folder that holds ``ISIC2018_Task1-2_Training_Input`` and its ground truth.

    Raises:
        FileNotFoundError: no image; says what is there, what to get and where to put it.
        ValueError: several folders hold images.
    """
    raw = Path(raw)
    if place := layout.find(raw, _PLACES, lambda folder: _inputs(folder, "Training") is not None):
        return place
    raise FileNotFoundError(
        f"{raw}: no ISIC2018 images{layout.beside(raw)}; {raw}/ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg and "
        f"{raw}/ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png and so on are "
        f"expected. Get both archives (11 GB and 27 MB, free, CC BY-NC 4.0) from {URL}, unpack "
        f"them in {raw}, then run the same command again"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted: images and masks.

    Raises:
        FileNotFoundError: no images, or an image without its mask.
        ValueError: two files for one image or mask, or an image in two parts.
    """
    found = [path for pair in _pairs(raw).values() for path in pair]
    if missing := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: missing{f', and {len(missing) - 1} more' if missing[1:] else ''}; its "
            f"image is there, in {missing[0].parent} {layout.seen(missing[0].parent)}; unpack the archive of "
            f"the ground truth again"
        )
    return sorted(found)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``."""
    return [(identity, identity) for identity in _pairs(raw)]


def official(raw: Path | str) -> dict[str, str]:
    """The challenge's own split, as the folders say: id -> split."""
    return {identity: PARTS[part] for identity, part in _listed(raw).items()}


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the images: training, then validation and test where there are, each sorted by id.

    Yields:
        Cases with ``(1, H, W, 3)`` uint8 images, ids like ``ISIC_0000000``; H and W from 540 to
        6748 pixels in the official archives.

    Raises:
        FileNotFoundError: no images, or an image without its mask.
        ValueError: a damaged file, or a mask of another size than its image.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it."""
    return [partial(_case, identity, *pair) for identity, pair in _pairs(raw).items()]


def check(raw: Path | str) -> list[str]:
    """Compare a raw folder with the official training set, by names of files and sizes of images.

    Returns:
        The problems found, one sentence each.

    Raises:
        FileNotFoundError: no images.
    """
    listed = _listed(raw)
    training = {identity for identity, part in listed.items() if part == "Training"}
    expected = set(splits.paper("isic2018"))
    problems = []
    for many, what in ((expected - training, "missing"), (training - expected, "unknown")):
        if many:
            first = ", ".join(sorted(many)[:5]) + (", ..." if len(many) > 5 else "")
            problems.append(f"{len(many)} training images {what}: {first}")
    for part, number in (("Validation", 100), ("Test", 1000)):
        found = sum(one == part for one in listed.values())
        if found not in (0, number):
            problems.append(f"{part}: {found} images, officially {number}")
    if small := [name for name, (path, _) in _pairs(raw).items() if min(_size(path)) < SMALLEST]:
        problems.append(
            f"{len(small)} images have a side below {SMALLEST} pixels, which no official one has: "
            f"{', '.join(small[:5])}{', ...' if small[5:] else ''}; they were cropped or resized"
        )
    unmasked = [mask.name for _, mask in _pairs(raw).values() if not mask.is_file()]
    problems += [f"{name}: missing" for name in unmasked]
    return problems


def _inputs(folder: Path, part: str) -> Path | None:
    """Where the images of a part lie; a folder without a part is for training."""
    short = part.lower()
    names = [f"isic2018task12{short}input", f"{short}input"]
    if part == "Training":
        names += ["images", "image", "input"]
    return layout.child(folder, names, _is_image)


def _truths(folder: Path, part: str) -> Path | None:
    """Where the masks of a part lie."""
    short = part.lower()
    names = [f"isic2018task1{short}groundtruth", f"{short}groundtruth"]
    if part == "Training":
        names += ["masks", "mask", "groundtruth"]
    return layout.child(folder, names, pictures.is_picture)


def _is_image(path: Path) -> bool:
    return pictures.is_picture(path) and not path.stem.endswith(("_superpixels", _MASK))


_MASK = "_segmentation"


def _listed(raw: Path | str) -> dict[str, str]:
    """Image id -> 'Training', 'Validation' or 'Test'."""
    return {identity: part for identity, (part, _, _) in _found(raw).items()}


def _found(raw: Path | str) -> dict[str, tuple[str, Path, Path]]:
    """Image id -> part, image and mask.

    A part whose ground truth is not there does not count: the test images were published years
    before their masks.
    """
    folder = find(raw)
    found: dict[str, tuple[str, Path, Path]] = {}
    for part in PARTS:
        inputs, truths = _inputs(folder, part), _truths(folder, part)
        if inputs is None or (truths is None and part != "Training"):
            continue
        truths = truths or folder / f"ISIC2018_Task1_{part}_GroundTruth"
        images = [(path.stem, path) for path in layout.visible(inputs) if _is_image(path)]
        masks = layout.singles(
            (
                (path.stem.removesuffix(_MASK), path)
                for path in layout.visible(truths)
                if pictures.is_picture(path) and not path.stem.endswith("_superpixels")
            ),
            "the mask of",
        )
        for identity, image in layout.singles(images, "image").items():
            if before := found.get(str(identity)):
                layout.single([before[1], image], f"image {identity} of two parts")
            mask = masks.get(identity, truths / f"{identity}{_MASK}.png")
            found[str(identity)] = (part, image, mask)
    return found


def _case(identity: str, image_path: Path, mask_path: Path) -> RawCase:
    image = pictures.read_rgb(image_path)
    return RawCase(
        id=identity,
        group=identity,
        stack=identity,
        first=0,
        image=image[None],
        label=pictures.read_mask(mask_path, image.shape[:2])[None],
        spacing_mm=None,
    )


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the header; a file that is no picture has none, and counts as official."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except OSError:
        return SMALLEST, SMALLEST


def _pairs(raw: Path | str) -> dict[str, tuple[Path, Path]]:
    """Image id -> image and mask."""
    return {identity: (image, mask) for identity, (_, image, mask) in _found(raw).items()}
