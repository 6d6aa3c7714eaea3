"""CVC-ClinicDB: polyps in 612 frames of 29 colonoscopy videos.

J. Bernal et al., "WM-DOVA maps for accurate polyp highlighting in colonoscopy: Validation vs.
saliency maps from physicians", Computerized Medical Imaging and Graphics 43, 2015, doi
10.1016/j.compmedimag.2015.02.007. Research and education only.

A case is one frame; a group is a video sequence; a stack is a run of frames that follow each other
in one sequence, so that the neighbours of a frame are true neighbours. With all 612 frames a stack
is a sequence; where frames are missing, the gap starts a new stack.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from salstm.data.case import RawCase, Reading
from salstm.data.readers import layout, pictures
from salstm.data.readers.npy import sha256

CLASSES = ("polyp",)
NORMALISE = "none"
URL = "https://polyp.grand-challenge.org/CVCClinicDB/"
SEQUENCES = Path(__file__).parent / "cvc_sequences.csv"
"""First and last frame of each sequence: dataset-ninja/cvc-612, src/convert.py. The owners' page
counts 31 sequences in some places and 29 in others; these 29 cover all frames."""

HASHES = Path(__file__).parent / "cvc_sha256.csv"
"""SHA-256 of the 612 + 612 original TIFF files, as in krishnakaushik25/Medical-Image-Segmentation-DL,
data/TIF, on GitHub; no hash of the archive itself is published."""

_PLACES = ("CVC-ClinicDB", ".", "CVC-ClinicDB/TIF", "TIF", "CVC-ClinicDB/PNG", "PNG")
_INPUTS, _TRUTHS = ("original", "images", "image"), ("groundtruth", "masks", "mask")


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        number: 1 to 612.
        sequence: 1 to 29.
        run: number of the first frame of its run.
        image: its file.
        mask: its mask's file.
    """

    number: int
    sequence: int
    run: int
    image: Path
    mask: Path


def find(raw: Path | str) -> Path:
    """The folder that holds ``Original`` and ``Ground Truth``.

    Raises:
        FileNotFoundError: no frame; says what is there, what to get and where to put it.
        ValueError: several folders hold frames.
    """
    raw = Path(raw)
    if place := layout.find(raw, _PLACES, lambda folder: _folder(folder, _INPUTS) is not None):
        return place
    raise FileNotFoundError(
        f"{raw}: no CVC-ClinicDB frames{layout.beside(raw)}; {raw}/CVC-ClinicDB/Original/1.tif and "
        f"{raw}/CVC-ClinicDB/Ground Truth/1.tif and so on are expected. Get CVC-ClinicDB.rar "
        f"(research and education only) from {URL}, unpack it in {raw}, then run the same command "
        f"again"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted: frames and masks.

    Raises:
        FileNotFoundError: no frames, or a frame without its mask.
        ValueError: a frame of no known sequence, or two files for one frame.
    """
    found = [path for frame in _frames(raw) for path in (frame.image, frame.mask)]
    if missing := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: missing{f', and {len(missing) - 1} more' if missing[1:] else ''}; its "
            f"frame is there, in {missing[0].parent} {layout.seen(missing[0].parent)}; unpack the archive again"
        )
    return sorted(found)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``: ``frame001`` of ``sequence01``."""
    return [(_identity(frame), _group(frame)) for frame in _frames(raw)]


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the frames by number (the names are not padded: 2 comes before 10).

    Yields:
        Cases with ``(1, 288, 384, 3)`` uint8 images.

    Raises:
        FileNotFoundError: no frames, or a frame without its mask.
        ValueError: a frame of no known sequence, a damaged file, or a mask of another size than its
            frame.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it."""
    return [partial(_case, frame) for frame in _frames(raw)]


def check(raw: Path | str) -> list[str]:
    """Compare a raw folder with the official set of 612 frames, file by file.

    Returns:
        The problems found, one sentence each.

    Raises:
        FileNotFoundError: no frames.
        ValueError: a frame of no known sequence.
    """
    frames = _frames(raw)
    problems = []
    if missing := sorted(set(sequences()) - {frame.number for frame in frames}):
        problems.append(f"{len(missing)} of 612 frames missing: {_ranges(missing)}")
    if broken := len({frame.run for frame in frames}) - len({frame.sequence for frame in frames}):
        problems.append(f"{broken} gaps inside sequences: their neighbours are not used")
    official = hashes()
    for column, kind in (("image", "Original"), ("mask", "Ground Truth")):
        files = {frame.number: getattr(frame, column) for frame in frames}
        there = {number: path for number, path in files.items() if path.is_file()}
        packed = [number for number, path in there.items() if path.suffix.lower() == ".png"]
        known = {number: official[number][column] for number in there.keys() - set(packed)}
        other = [number for number in known if sha256(files[number]) != known[number]]
        for numbers, what in (
            (files.keys() - there.keys(), "missing"),
            (other, "not the official TIFF by SHA-256"),
            (packed, "PNG, which cannot be compared with the official TIFF"),
        ):
            if numbers:
                problems.append(f"{kind}: {len(numbers)} files {what}: {_ranges(sorted(numbers))}")
    return problems


def hashes() -> dict[int, dict[str, str]]:
    """Frame number -> SHA-256 of its official ``image`` and ``mask``, of all 612 frames."""
    with HASHES.open(encoding="utf-8", newline="") as file:
        return {int(row["frame"]): row for row in csv.DictReader(file)}


def sequences() -> dict[int, int]:
    """Frame number -> sequence number, of all 612 frames."""
    with SEQUENCES.open(encoding="utf-8", newline="") as file:
        ranges = [{key: int(row[key]) for key in row} for row in csv.DictReader(file)]
    return {
        frame: row["sequence"] for row in ranges for frame in range(row["first"], row["last"] + 1)
    }


def runs(
    images: Mapping[int, Path], masks: Path, there: Mapping[int, Path] | None = None
) -> list[Frame]:
    """Sort frames into runs: each follows the one before it, in the same sequence.

    Args:
        images: frame number -> file, in the order of the numbers.
        masks: folder of the masks, which have the same names,
        there: but for those: frame number -> mask.

    Raises:
        ValueError: a frame of no known sequence.
    """
    known = sequences()
    frames: list[Frame] = []
    for number, image in images.items():
        if number not in known:
            raise ValueError(
                f"{image}: frame {number} is of no known sequence; 1 to {max(known)} are allowed; "
                f"remove the file"
            )
        last = frames[-1] if frames else None
        follows = last and (last.number, last.sequence) == (number - 1, known[number])
        run = last.run if last and follows else number
        mask = (there or {}).get(number, masks / image.name)
        frames.append(Frame(number, known[number], run, image, mask))
    return frames


def _case(frame: Frame) -> RawCase:
    image = pictures.read_rgb(frame.image)
    return RawCase(
        id=_identity(frame),
        group=_group(frame),
        stack=f"{_group(frame)}_from{frame.run:03d}",
        first=frame.number - frame.run,
        image=image[None],
        label=pictures.read_mask(frame.mask, image.shape[:2])[None],
        spacing_mm=None,
    )


def _identity(frame: Frame) -> str:
    return f"frame{frame.number:03d}"


def _group(frame: Frame) -> str:
    return f"sequence{frame.sequence:02d}"


def _is_frame(path: Path) -> bool:
    return pictures.is_picture(path) and path.stem.isdecimal()


def _folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return layout.child(folder, names, _is_frame)


def _numbered(folder: Path, what: str) -> dict[int, Path]:
    """Frame number -> file, in the order of the numbers."""
    named = ((int(path.stem), path) for path in layout.visible(folder) if _is_frame(path))
    return {int(number): path for number, path in layout.singles(named, what).items()}


def _frames(raw: Path | str) -> list[Frame]:
    folder = find(raw)
    inputs, truths = (
        _folder(folder, names) or folder / official
        for names, official in ((_INPUTS, "Original"), (_TRUTHS, "Ground Truth"))
    )
    return runs(_numbered(inputs, "frame"), truths, _numbered(truths, "the mask of frame"))


def _ranges(numbers: list[int]) -> str:
    """Numbers as a person writes them: 3, 7-9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
