"""Images and masks side by side: which mask is whose, by name, and nothing guessed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from salstm.data.readers import layout, pictures

IMAGES = ("images", "image", "imgs", "img", "inputs", "imagestr")
"""Folders of images: letters and digits of their names, in small letters."""
MASKS = (
    *("masks", "mask", "labels", "label", "labelstr", "groundtruth", "gt", "gts"),
    *("annotations", "segmentations"),
)
"""Folders of masks."""
VOLUMES = (".nii", ".nii.gz")
_MASK = "masks?|labels?|segmentations?|seg|gt|groundtruth|annotations?"
_IMAGE = "images?|img"


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
        name: path of the image below the folder of the images, without ending and without what calls it an image:
            'patient1/007'.
        image: the file.
        mask: the file.
    """

    name: str
    image: Path
    mask: Path

    @property
    def id(self) -> str:
        """The name in one word."""
        return self.name.replace("/", "_")


def find(raw: Path) -> Path | None:
    """The folder that holds images and masks; None if there is none.

    Raises:
        ValueError: several folders do, or a folder has two that could be its images, or its masks.
    """
    return layout.find(raw, (".",), lambda folder: _sides(folder) is not None)


def pairs(folder: Path, channel: str = "") -> list[Pair]:
    """The pairs in a folder that ``find`` gave, in natural order of their names: 2 before 10.

    An image's mask has its name, or its name with a word like ``_mask`` or ``label_``.

    Args:
        folder: where images and masks are.
        channel: what images' names end with before their ending, as a regular expression; left out of the names.

    Raises:
        FileNotFoundError: an image without its mask.
        ValueError: a mask without its image, two files for one, or volumes beside pictures.
    """
    sides = _sides(folder)
    if sides is None:
        return []
    files, others = (list(_files(side)) for side in sides)
    if sides[0] == sides[1]:
        others = _flat_masks(files)
        files = sorted({*files} - {*others})
    _check_one_kind([*files, *others])
    images = layout.singles(((_image_name(one, sides[0], channel), one) for one in files), "image")
    masks: dict[str, list[Path]] = defaultdict(list)
    for mask in others:
        masks[_mask_name(mask, sides[1], images)].append(mask)
    _check_complete(images, masks, sides)
    found = [
        Pair(str(name), image, layout.single(masks[str(name)], f"the mask of {image.name}"))
        for name, image in images.items()
    ]
    layout.singles(((one.id, one.image) for one in found), "case")
    return sorted(found, key=lambda one: natural(one.name))


def natural(name: str) -> list[tuple[int, str]]:
    """What to sort names by so that 2 comes before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]


def is_volume(path: Path) -> bool:
    """Whether a file's name ends like that of a NIfTI file."""
    return path.name.lower().endswith(VOLUMES)


def _sides(folder: Path) -> tuple[Path, Path] | None:
    """The folders of the images and of the masks, which may be one."""
    images, masks = _called(folder, IMAGES, "images"), _called(folder, MASKS, "masks")
    if images and masks:
        return images, masks
    files = [one for one in layout.visible(folder) if _readable(one)]
    return (folder, folder) if _flat_masks(files) else None


def _called(folder: Path, names: tuple[str, ...], what: str) -> Path | None:
    """The only subfolder that is called so and has files to read, somewhere in it."""
    there = [
        path
        for path in layout.visible(folder)
        if path.is_dir()
        and re.sub(r"[\W_]", "", path.name).casefold() in names
        and next(_files(path), None)
    ]
    return layout.single(there, f"the {what}") if there else None


def _files(folder: Path) -> Iterator[Path]:
    for path in layout.visible(folder):
        if _readable(path):
            yield path
        elif path.is_dir():
            yield from _files(path)


def _readable(path: Path) -> bool:
    return pictures.is_picture(path) or (is_volume(path) and path.is_file())


def _stem(path: Path) -> str:
    ending = next((one for one in VOLUMES[::-1] if path.name.lower().endswith(one)), path.suffix)
    return path.name[: -len(ending)]


def _without(stem: str, words: str) -> str:
    """A name without the word that says what the file is, at its end or its beginning."""
    shorter = re.sub(rf"[-_. ]({words})$", "", stem, flags=re.IGNORECASE)
    if shorter == stem:
        shorter = re.sub(rf"^({words})[-_. ]", "", stem, flags=re.IGNORECASE)
    return shorter or stem


def _flat_masks(files: list[Path]) -> list[Path]:
    """The files that are the masks of others beside them."""
    stems = {one: _stem(one) for one in files}
    names = {*stems.values(), *(_without(stem, _IMAGE) for stem in stems.values())}
    shorter = {one: _without(stem, _MASK) for one, stem in stems.items()}
    return [one for one in files if shorter[one] != stems[one] and shorter[one] in names]


def _image_name(path: Path, side: Path, channel: str) -> str:
    stem = re.sub(rf"({channel})$", "", _stem(path)) if channel else _stem(path)
    return (path.parent.relative_to(side) / _without(stem, _IMAGE)).as_posix()


def _mask_name(path: Path, side: Path, images: Mapping[int | str, Path]) -> str:
    place = path.parent.relative_to(side)
    name = (place / _stem(path)).as_posix()
    return name if name in images else (place / _without(_stem(path), _MASK)).as_posix()


def _check_one_kind(files: list[Path]) -> None:
    volume = next(filter(is_volume, files), None)
    picture = next((one for one in files if not is_volume(one)), None)
    if volume and picture:
        raise ValueError(
            f"{volume} and {picture}: a volume and a picture in one folder; keep one kind of files there"
        )


def _check_complete(
    images: Mapping[int | str, Path], masks: Mapping[str, list[Path]], sides: tuple[Path, Path]
) -> None:
    alone = [path for name, path in images.items() if name not in masks]
    lost = [path for name, paths in masks.items() if name not in images for path in paths]
    if alone and lost:
        raise FileNotFoundError(
            f"{alone[0]} has no mask in {sides[1]}, and {lost[0]} has no image{_more(len(alone) + len(lost) - 2)}; "
            f"an image and its mask have one name, or that of the mask has a word like _mask more"
        )
    if alone:
        raise FileNotFoundError(
            f"{alone[0]}: has no mask in {sides[1]}{_more(len(alone) - 1)}; add it, or take the image away"
        )
    if lost:
        raise ValueError(
            f"{lost[0]}: a mask without its image in {sides[0]}{_more(len(lost) - 1)}; add it, or take the mask away"
        )


def _more(count: int) -> str:
    return f" (and {count} more such files)" if count else ""
