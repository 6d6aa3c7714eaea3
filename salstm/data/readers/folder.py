"""A folder of one's own: images and masks side by side, in pictures or NIfTI, or an nnU-Net raw dataset as it is.

What it holds is declared in the configuration (``datasets.<name>``, docs/add-a-dataset.md). Files are read as
those of the built-in datasets are: tags, orientation, units and the values of masks are taken care of.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from salstm.data import facts
from salstm.data.case import SPLITS, RawCase, Reading
from salstm.data.datasets import Dataset
from salstm.data.readers import class_masks, layout, nifti, nnunet, pairing, pictures, volumes
from salstm.data.readers.pairing import Pair

NORMALISE = {"CT": "hu", "MR": "minmax99", "colour": "none", "grey": "none"}
"""How the values of each kind of images are brought to one range (``salstm.data.augment.intensity``)."""
VOLUMES = ("CT", "MR")
SPLIT = "splits.json"
SUBGROUPS = "subgroups.csv"
"""The division into parts, beside the images: part -> groups or ids."""
_SAMPLED = 5


def of(entry: Dataset) -> Folder:
    """The reader of a dataset that the configuration declares."""
    return Folder(entry)


def kind(raw: Path) -> str | None:
    """What a folder's images are, by their names and the dataset.json; None if there are none.

    Volumes are taken for MR where no dataset.json says CT, pictures for colour.
    """
    try:
        place = pairing.find(raw)
        found = pairing.pairs(place, nnunet.CHANNEL if nnunet.read(place) else "") if place else []
        described = nnunet.read(place) if place else None
    except (OSError, ValueError):  # the reader says so, where it reads
        return None
    if not found:
        return None
    if pairing.is_volume(found[0].image):
        return "CT" if described and described.ct else "MR"
    return "colour"


@dataclass(frozen=True)
class Folder:
    """Reads one dataset; see ``salstm.data.datasets.Reader``.

    Attributes:
        entry: the dataset, whose ``settings`` have ``kind``, ``classes`` (name -> number in the files) and ``group``.
    """

    entry: Dataset

    __name__ = __name__

    @property
    def CLASSES(self) -> tuple[str, ...]:  # noqa: N802
        """Names in the order of the prepared numbers."""
        return self.entry.classes

    @property
    def NORMALISE(self) -> str:  # noqa: N802
        """By the kind of the images."""
        return NORMALISE[self._settings["kind"]]

    @property
    def _settings(self) -> dict:
        return dict(self.entry.settings or {})

    def find(self, raw: Path | str) -> Path:
        """The folder with images and masks, the raw one or one in it.

        Raises:
            FileNotFoundError: there is none; says what is there and what is expected.
            ValueError: several could be it.
        """
        raw = Path(raw)
        if place := pairing.find(raw):
            return place
        raise FileNotFoundError(
            f"{raw}: no images with masks{layout.beside(raw)}; expected are {raw}/images and {raw}/masks with files "
            f"of the same names, or 1.png beside 1_mask.png, or {raw}/imagesTr, {raw}/labelsTr and "
            f"{raw}/dataset.json; in {', '.join(pictures.ENDINGS)}, .nii or .nii.gz"
        )

    def files(self, raw: Path | str) -> list[Path]:
        """Images and masks, dataset.json, splits.json and subgroups.csv where they are, sorted.

        Raises:
            FileNotFoundError: no images, or one without its mask.
            ValueError: as in ``identities``.
        """
        place = self.find(raw)
        extra = [place / name for name in (nnunet.FILE, SPLIT, SUBGROUPS)]
        both = [path for pair in self._pairs(raw) for path in (pair.image, pair.mask)]
        return sorted([*both, *(path for path in extra if path.is_file())])

    def identities(self, raw: Path | str) -> list[tuple[str, str]]:
        """Id and group of each case: group after group, in natural order.

        Raises:
            FileNotFoundError: an image without its mask.
            ValueError: what can be read in more than one way (``salstm.data.readers.pairing``), a name that the
                pattern of the groups does not fit, or a dataset.json with other classes.
        """
        return [(pair.id, self._group(pair)) for pair in self._pairs(raw)]

    def readings(self, raw: Path | str, axes: str | None = None) -> list[Reading]:
        """A function for each case, in the order of ``identities``, that reads it.

        Args:
            raw: the raw folder.
            axes: where the axes of volumes point whose header does not say.
        """
        found = self._pairs(raw)
        if self._settings["kind"] in VOLUMES:
            return [partial(self._volume, pair, axes) for pair in found]
        if axes is not None:
            raise ValueError(
                f"datasets.{self.entry.name}.axes is {axes!r}; {found[0].image} is a picture; leave it out"
            )
        firsts: dict[str, int] = {}
        result: list[Reading] = []
        for pair in found:
            stack = self._group(pair) if self.entry.frames > 1 else pair.id
            result.append(partial(self._picture, pair, stack, firsts.get(stack, 0)))
            firsts[stack] = firsts.get(stack, 0) + 1
        return result

    def check(self, raw: Path | str) -> list[str]:
        """Where the folder has not what its dataset.json says."""
        described, found = nnunet.read(self.find(raw)), len(self._pairs(raw))
        if described is None or described.cases in (None, found):
            return []
        return [f"{found} cases, {described.path} says {described.cases}"]

    def official(self, raw: Path | str) -> dict[str, str]:
        """The division that ``splits.json`` says: group or case id -> part.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not such a file.
        """
        path = self.find(raw) / SPLIT
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: missing; {{train: [...], val: [...], test: [...]}} with groups or ids is expected, or "
                f"datasets.{self.entry.name}.split: {{name: groups}}"
            )
        try:
            lists = json.loads(path.read_text(encoding="utf-8-sig"))
            pairs = [(str(one), part) for part, entries in lists.items() for one in entries]
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{path}: {error}; {{part: [groups or ids]}} is expected") from error
        parts = dict(pairs)
        known = {name for pair in self.identities(raw) for name in pair}
        if wrong := (set(lists) - set(SPLITS)) or (set(parts) - known):
            raise ValueError(
                f"{path}: {sorted(wrong)[0]!r} is neither {', '.join(SPLITS)} nor a group or an id of {raw}"
            )
        if len(parts) != len(pairs):
            raise ValueError(f"{path}: an entry is listed twice")
        return parts

    def facts(self, raw: Path | str) -> dict[str, dict[str, str]]:
        """Subgroups of each case as ``subgroups.csv`` says: ``case`` and a column for each kind; none without it.

        Raises:
            ValueError: not such a table, or a case that is none.
        """
        path = self.find(raw) / SUBGROUPS
        found = facts.read(path)
        if unknown := sorted(found.keys() - {one for one, _ in self.identities(raw)}):
            raise ValueError(
                f"{path}: case {unknown[0]!r} is no id of {raw}, and {len(unknown) - 1} more"
            )
        return found

    def amount(self, raw: Path | str) -> tuple[int, float]:
        """Frames, and pixels of one: of pictures counted, of volumes estimated from a few headers."""
        found = self._pairs(raw)
        sample = found[:: max(1, len(found) // _SAMPLED)][:_SAMPLED]
        if self._settings["kind"] in VOLUMES:
            shapes = [sorted(nifti.header(pair.image).shape) for pair in sample]
            depth = float(np.mean([shape[0] for shape in shapes]))
            return round(depth * len(found)), float(np.mean([a * b for _, a, b in shapes]))
        from PIL import Image

        sizes = []
        for pair in sample:
            with Image.open(pair.image) as picture:
                sizes.append(picture.width * picture.height)
        return len(found), float(np.mean(sizes))

    def _pairs(self, raw: Path | str) -> list[Pair]:
        """Group after group; within a group in natural order."""
        place = self.find(raw)
        described = nnunet.read(place)
        if described:
            self._check_described(described)
            nnunet.check_channels(sorted(place.glob("imagesTr/*")))
        found = pairing.pairs(place, nnunet.CHANNEL if described else "")
        self._check_kind(found[0].image)
        order = {group: at for at, group in enumerate(dict.fromkeys(map(self._group, found)))}
        return sorted(found, key=lambda pair: order[self._group(pair)])

    def _check_kind(self, image: Path) -> None:
        said = self._settings["kind"]
        if pairing.is_volume(image) != (said in VOLUMES):
            what = (
                "a volume (CT or MR)" if pairing.is_volume(image) else "a picture (colour or grey)"
            )
            raise ValueError(f"datasets.{self.entry.name}.kind is {said}; {image} is {what}")
        if said not in VOLUMES and self.entry.frames > 1 and not self._settings["group"]:
            raise ValueError(
                f"datasets.{self.entry.name}.frames is {self.entry.frames}, and pictures have no neighbours; say "
                f"with datasets.{self.entry.name}.group which are of one sequence, or set frames to 1"
            )

    def _check_described(self, described: nnunet.Described) -> None:
        ours = self._settings["classes"]
        if dict(described.labels) != ours:
            raise ValueError(
                f"{described.path}: its labels are {class_masks.named(described.labels)}; "
                f"datasets.{self.entry.name}.classes says {class_masks.named(ours)}; both must be alike"
            )

    def _group(self, pair: Pair) -> str:
        pattern = self._settings["group"]
        if not pattern:
            return pair.id
        fits = re.search(pattern, pair.name)
        text = fits and (fits[1] if fits.re.groups else fits[0])
        if not text:
            raise ValueError(
                f"{pair.image}: datasets.{self.entry.name}.group, {pattern!r}, fits nothing in {pair.name!r}; it must "
                f"fit every name: what it fits, or its first bracket, is the group"
            )
        return text.replace("/", "_")

    def _volume(self, pair: Pair, axes: str | None) -> RawCase:
        setting = f"datasets.{self.entry.name}.axes"
        both = volumes.read_pair(pair.image, pair.mask, axes=axes, setting=setting)
        image, label = volumes.slices_first(*both)
        labels = class_masks.of_volume(pair.mask, label.array, self._settings["classes"])
        return RawCase(
            pair.id, self._group(pair), pair.id, 0, image.array, labels, image.spacing_mm
        )

    def _picture(self, pair: Pair, stack: str, first: int) -> RawCase:
        image = pictures.read_rgb(pair.image)
        label = class_masks.read(pair.mask, self._settings["classes"], image.shape[:2])
        if self._settings["kind"] == "grey":
            image = self._grey(pair.image, image)
        return RawCase(pair.id, self._group(pair), stack, first, image[None], label[None], None)

    def _grey(self, path: Path, image: np.ndarray) -> np.ndarray:
        if (image != image[..., :1]).any():
            raise ValueError(
                f"{path}: has colours; datasets.{self.entry.name}.kind is grey; set it to colour"
            )
        return image[..., 0].astype(np.float32) / np.float32(255)
