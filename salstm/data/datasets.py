"""The registry: what each dataset is, and the road from its raw files to a store.

Importing it loads no dataset module; a new dataset is one file with ``CLASSES``, ``NORMALISE``,
``find``, ``files``, ``identities``, ``readings`` and ``check`` (see ``Reader``), and one entry here.
The ``readings`` of volumes with a header take ``axes``, too. A module may also have ``official(raw)``,
case id -> split as the raw folders say, ``oddities(label)``, what looks wrong about a case, for the
audit, and ``facts(raw)``, case id -> the subgroups that it is of (``salstm.data.facts``).
"""

from __future__ import annotations

import importlib
import inspect
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from salstm import vocabulary
from salstm.data.case import Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """One entry of the registry.

    Attributes:
        name: as in config.yaml.
        label: as tables and figures print it.
        module: the reader's module, for the official layout.
        classes: foreground classes in the order of their numbers, from 1.
        frames: T, the frames that a window holds: 3 with neighbours, 1 without.
        channels: 1 grey, 3 RGB.
        binary: one foreground class, with one logit that may go through a sigmoid.
        licence: short name.
        licence_url: where its text or the owners' statement stands.
        citation: what its owners want cited.
        whole_split: name of the split that keeps every group whole, and that training needs for
            `strict` numbers: a list of ``salstm/data/splits``, or a draw.
        published_frames: frames of the labelled part, for plans made before there are data.
        published_groups: patients, videos or images in it, as many as folds test; 0: known once there are data.
        native_pixels: of a frame before it is resized, the mean where they differ; None if that is
            not published.
        official: frames of the official division into train, val and test, if there is one.
        packages: readers of other people's preprocessed files, taken if the raw folder holds those
            and not the official ones.
        settings: of a dataset that the configuration declares (``salstm.data.own``): what its reader is told, and
            None of a built-in one. Its cases may have no foreground, and no official ones are known.
    """

    name: str
    label: str
    module: str
    classes: tuple[str, ...]
    frames: int
    channels: int
    binary: bool
    licence: str
    licence_url: str
    citation: str
    whole_split: str
    published_frames: int
    published_groups: int = 0
    native_pixels: int | None = None
    official: Mapping[str, int] | None = None
    packages: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None


class Reader(Protocol):
    """What a dataset's module offers; ``salstm.data.readers.acdc`` is the example."""

    __name__: str

    @property
    def CLASSES(self) -> tuple[str, ...]:  # noqa: N802
        """Foreground classes in the order of their numbers, from 1."""
        ...

    @property
    def NORMALISE(self) -> str:  # noqa: N802
        """A name of ``salstm.data.augment.intensity``."""
        ...

    def find(self, raw: Path | str) -> Path:
        """The folder with the data, below ``raw``."""
        ...

    def files(self, raw: Path | str) -> list[Path]:
        """The files that the cases are made of."""
        ...

    def identities(self, raw: Path | str) -> list[tuple[str, str]]:
        """Id and group of each case, in order, without reading images."""
        ...

    def readings(self, raw: Path | str) -> Sequence[Reading]:
        """Functions that read the cases, in the order of ``identities``, stack after stack."""
        ...

    def check(self, raw: Path | str) -> list[str]:
        """Deviations from the official dataset."""
        ...


DATASETS: dict[str, Dataset] = {
    "synapse": Dataset(
        name="synapse",
        label="Synapse",
        module="salstm.data.readers.synapse",
        classes=(
            "aorta",
            "gallbladder",
            "left kidney",
            "right kidney",
            "liver",
            "pancreas",
            "spleen",
            "stomach",
        ),
        frames=1,
        channels=1,
        binary=False,
        licence="CC BY 4.0, access terms on Synapse",
        licence_url="https://www.synapse.org/#!Synapse:syn3193805/wiki/89480",
        citation="Landman et al., MICCAI Multi-Atlas Labeling Beyond the Cranial Vault: Workshop "
        "and Challenge, 2015, doi 10.7303/syn3193805",
        whole_split="strict",
        published_frames=3779,  # TransUNet (arXiv 2102.04306)
        published_groups=30,
        native_pixels=512 * 512,
        packages=("salstm.data.readers.synapse_package",),
    ),
    "acdc": Dataset(
        name="acdc",
        label="ACDC",
        module="salstm.data.readers.acdc",
        classes=("RV", "MYO", "LV"),
        frames=3,
        channels=1,
        binary=False,
        licence="CC BY-NC-SA 4.0",
        licence_url="https://www.creatis.insa-lyon.fr/Challenge/acdc/databases.html",
        citation="Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi- "
        "structures Segmentation and Diagnosis: Is the Problem Solved?, IEEE TMI "
        "37(11):2514-2525, 2018, doi 10.1109/TMI.2018.2837502",
        whole_split="strict",
        published_frames=1902,
        published_groups=99,  # 100 patients, one of them twice
        native_pixels=232 * 248,  # the mean of acdc_patients.csv
        packages=("salstm.data.readers.acdc_package",),
    ),
    "isic2018": Dataset(
        name="isic2018",
        label="ISIC 2018",
        module="salstm.data.readers.isic2018",
        classes=("lesion",),
        frames=1,
        channels=3,
        binary=True,
        licence="CC BY-NC 4.0",
        licence_url="https://challenge.isic-archive.com/data/#2018",
        citation="Codella et al., Skin Lesion Analysis Toward Melanoma Detection 2018, "
        "arXiv:1902.03368; Tschandl, Rosendahl, Kittler, The HAM10000 dataset, Sci Data "
        "5:180161, 2018, doi 10.1038/sdata.2018.161",
        whole_split="paper",
        published_frames=2594,
        published_groups=2594,
        official={"train": 2594, "val": 100, "test": 1000},
    ),
    "cvc_clinicdb": Dataset(
        name="cvc_clinicdb",
        label="CVC-ClinicDB",
        module="salstm.data.readers.cvc_clinicdb",
        classes=("polyp",),
        frames=3,
        channels=3,
        binary=True,
        licence="research and education only",
        licence_url="https://polyp.grand-challenge.org/CVCClinicDB/",
        citation="Bernal et al., WM-DOVA maps for accurate polyp highlighting in colonoscopy, "
        "Computerized Medical Imaging and Graphics 43:99-111, 2015, doi "
        "10.1016/j.compmedimag.2015.02.007",
        whole_split="folds",
        published_frames=612,
        published_groups=29,
        native_pixels=288 * 384,
    ),
}


def check(name: str) -> str:
    """Return ``name`` if there is such a dataset.

    Raises:
        ValueError: unknown name; the message suggests the nearest one and lists all.
    """
    return vocabulary.check("dataset", name, DATASETS)


def modules(name: str) -> tuple[str, ...]:
    """The modules that read a dataset, the one of the official layout first.

    Raises:
        ValueError: unknown name.
    """
    entry = DATASETS[check(name)]
    return (entry.module, *entry.packages)


def reader(name: str, raw: Path | str | None = None) -> Reader:
    """Import the module that reads what a raw folder holds.

    Args:
        name: of the dataset.
        raw: folder of the raw files; None for the reader of the official layout.

    Raises:
        ValueError: unknown name.
    """
    readers = [_reader(DATASETS[name], module) for module in modules(name)]
    if raw is None:
        return readers[0]
    # None holds: the official one, whose methods then say what to get.
    return next((one for one in readers if _holds(one, raw)), readers[0])


def raw_manifest(name: str, raw: Path | str, threads: int = 1) -> dict[str, dict[str, Any]]:
    """List the raw files that the cases are made of.

    Args:
        name: of the dataset.
        raw: folder of the raw files.
        threads: files that are read at once.

    Returns:
        Path relative to ``raw``, with slashes -> ``{"size": bytes, "sha256": hexadecimal}``,
        sorted.

    Raises:
        FileNotFoundError: the data, or one of its files, is missing; says what to get and where to
            put it.
    """
    return _listed(reader(name, raw).files(raw), raw, threads)


def prepare(
    name: str,
    raw: Path | str,
    folder: Path | str,
    *,
    split: Mapping[str, Any],
    size: int | None,
    manifest: Mapping[str, Mapping[str, Any]] | None = None,
    threads: int = 1,
    axes: str | None = None,
) -> None:
    """Read a dataset's raw files and write its store.

    Cases that a published split does not name take no part, and of those that it names some may be
    absent: both are said in a warning and in the store's manifest. A part may be empty: what is
    there can be audited. Training refuses such a store (``salstm.data.splits.check_trainable``).

    Args:
        name: of the dataset.
        raw: folder of the raw files in their official layout.
        folder: where the store goes.
        split: ``{"name": "paper"}``, ``{"name": "official"}`` (as the raw folders say, where they
            do), or as in ``salstm.data.splits.resolve``; with ``limit`` that many cases of each part alone.
        size: side of the stored frames in pixels, or None for the native size.
        manifest: what ``raw_manifest`` gave; the files must still be those.
        threads: cases that are read at once.
        axes: where the axes of volumes point whose header does not say, like 'LPS'; None for what the
            dataset's reader holds to be so.

    Raises:
        FileNotFoundError: raw files are missing.
        ValueError: a raw file is wrong, or another one than the manifest says; the split does not fit
            the cases there are; or axes for a dataset whose files have no header to say them.
    """
    from salstm.data import facts, guards, splits, writing

    source = reader(name, raw)
    paths = source.files(raw)
    before = _states(paths)
    files = _listed(paths, raw, threads)
    _check_same(raw, manifest if manifest is not None else files, files)
    identities = source.identities(raw)
    asked, split = split, {key: one for key, one in split.items() if key != vocabulary.LIMIT}
    official = getattr(source, "official", None)
    if official is not None and split == {"name": "official"}:
        parts = official(raw)
    else:
        parts = splits.resolve(name, split, [group for _, group in identities])
    left_out = [one for one, group in identities if one not in parts and group not in parts]
    if len(left_out) == len(identities):
        raise ValueError(
            f"{name}: split {split['name']} names none of the {len(identities)} cases in {raw}: "
            f"{_first(left_out)}; check the raw folder, or set split to {{name: groups}}"
        )
    there = {entry for pair in identities for entry in pair}
    absent = [entry for entry in parts if entry not in there]
    if absent:
        log.warning(
            "%s: the raw folder lacks %d of the %d that split %s names: %s",
            *(name, len(absent), len(parts), split["name"], _first(absent)),
        )
    if left_out:
        log.warning(
            "%s: split %s does not name %d of %d cases, which are left out: %s",
            *(name, split["name"], len(left_out), len(identities), _first(left_out)),
        )
    limited = asked != split
    named = splits.limited(asked, parts, identities) if limited else parts
    taking_part = [
        reading
        for (one, group), reading in zip(
            identities, _readings(name, source, raw, axes), strict=True
        )
        if one in named or (group in named and not limited)
    ]
    origin: dict[str, Any] = {
        "dataset": name,
        "reader": source.__name__,
        "split": dict(asked),
        "parts": splits.needed(split, parts),
        "absent": absent,
        "left_out": left_out,
        "files": files,
    }

    def drawn(groups: list[str]) -> Mapping[str, str]:
        """Drawn once the images are read: those that are there twice make one group of two."""
        if folds := splits.resolve_folds(split, groups):
            origin["folds"] = folds
        return splits.resolve(name, split, groups)

    options = {"normalise": source.NORMALISE, "source": origin, "threads": threads}
    entry = DATASETS[name]
    told = {"empty": entry.settings is not None}
    watched = guards.watched(taking_part, entry.classes, source.NORMALISE, origin, **told)
    whole = split["name"] in splits.DRAWN and (not limited or vocabulary.folds_of(split))
    chosen = drawn if whole else named
    known: Any = getattr(source, "facts", lambda raw: {})
    found = known(raw)
    writing.write(folder, watched, chosen, size=size, **options)
    facts.write(Path(folder), found)
    if changed := [path for path, state in _states(before).items() if state != before[path]]:
        shutil.rmtree(folder)
        raise ValueError(f"{changed[0]}: changed while it was read; {_AGAIN}")


def _listed(paths: Sequence[Path], raw: Path | str, threads: int) -> dict[str, dict[str, Any]]:
    """Size and hash of files, by their place below ``raw``."""
    from salstm.data.readers.npy import sha256

    with ThreadPoolExecutor(threads) as pool:
        hashes = pool.map(sha256, paths)
        return {
            path.relative_to(raw).as_posix(): {"size": path.stat().st_size, "sha256": found}
            for path, found in zip(paths, hashes, strict=True)
        }


_AGAIN = "run the same command again (by hand: fetch, then prepare)"


def _check_same(
    raw: Path | str,
    listed: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
) -> None:
    """Check that raw files are still those that were listed.

    Raises:
        ValueError: names those that are not.
    """
    states = {
        one: "is not in the list" if one not in listed else "is gone"
        for one in sorted(listed.keys() ^ found.keys())
    }
    for one in sorted(listed.keys() & found.keys()):
        if dict(listed[one]) != dict(found[one]):
            states[one] = "has another content than when it was listed"
    if states:
        first, state = next(iter(states.items()))
        more = f", and {len(states) - 1} more such files" if states.keys() - {first} else ""
        raise ValueError(f"{Path(raw) / first}: {state}{more}; {_AGAIN}")


def _states(paths: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """Size and time of each file that is there."""
    states: dict[Path, tuple[int, int] | None] = dict.fromkeys(paths)
    for path in states:
        with suppress(FileNotFoundError):
            stat = path.stat()
            states[path] = stat.st_size, stat.st_mtime_ns
    return states


def _reader(entry: Dataset, module: str) -> Reader:
    """A module that reads, or, of a dataset that the configuration declares, what the module makes for it."""
    loaded: Any = importlib.import_module(module)
    return cast("Reader", loaded if entry.settings is None else loaded.of(entry))


def _readings(name: str, source: Reader, raw: Path | str, axes: str | None) -> Sequence[Reading]:
    if axes is None:
        return source.readings(raw)
    if "axes" not in inspect.signature(source.readings).parameters:
        raise ValueError(
            f"datasets.{name}.axes is {axes!r}; the files in {raw} are no volumes with a header; leave it out"
        )
    return cast("Any", source).readings(raw, axes=axes)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _holds(source: Reader, raw: Path | str) -> bool:
    try:
        source.find(raw)
    except FileNotFoundError:
        return False
    return True
