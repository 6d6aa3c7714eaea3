"""Random changes to one case's files, and what other people's readers make of the result.

``trial`` copies a case, changes one of its files, and reads it: either the values are those of the oracle
(the case before the change, where the change keeps the meaning; else nibabel, ITK, Pillow or tifffile on the changed
file), or the reader refuses and names the file. Anything else is an AssertionError.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from nibabel import orientations
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Image
from PIL import Image, ImageOps

from salstm.data.case import RawCase
from salstm.data.readers import acdc, cvc_clinicdb, isic2018, label_maps, synapse

READERS = {"acdc": acdc, "synapse": synapse, "isic2018": isic2018, "cvc_clinicdb": cvc_clinicdb}
Generator = np.random.Generator
INPUT, TRUTH = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"


def trial(generator: Generator, datasets: dict[str, Path], folder: Path) -> tuple[str, str]:
    """One change; returns its name and 'kept', 'oracle' or 'refused'."""
    dataset = str(generator.choice(list(datasets)))
    raw = folder / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    paths = _copy(generator, dataset, datasets[dataset], raw)
    before = _read(dataset, raw)
    volume = dataset in ("acdc", "synapse")
    which = int(generator.integers(2))
    table: dict[str, Callable[..., Any]]
    keeps = bool(generator.random() < 0.5)
    if volume:
        table = KEEP_VOLUME if keeps else BREAK_VOLUME
    else:
        table = (KEEP_MASK if which else KEEP_PICTURE) if keeps else BREAK_PICTURE
    name = str(generator.choice(list(table)))
    changed = paths[which]
    told = f"{dataset}, {'label' if which else 'image'}, {name}"
    table[name](generator, changed)
    after, refusal = None, ""
    try:
        after = _read(dataset, raw)
    except (ValueError, FileNotFoundError) as error:
        refusal = str(error)
    if after is None:
        assert not keeps, f"{told}: {refusal}"
        assert str(raw) in refusal, f"{told}: {refusal}"
        return told, "refused"
    if keeps:
        assert _alike(after, before), told
        return told, "kept"
    label_of = _official if dataset == "synapse" else lambda array: array
    reader = _of_volume if volume else _of_picture
    current = _paths_now(paths)
    assert any(_same(after.image, one) for one in reader(current[0], 0)), told
    assert any(_same(after.label, label_of(one)) for one in reader(current[1], 1)), told
    if volume:
        assert after.spacing_mm is not None
        assert _spacing_is_known(after, current[0], dataset), f"{told}: {after.spacing_mm}"
    return told, "oracle"


def _copy(generator: Generator, dataset: str, source: Path, raw: Path) -> tuple[Path, Path]:
    """Copy one case in the official layout; returns its image and its label."""
    files = READERS[dataset].files(source)
    if dataset == "acdc":
        patient = files[int(generator.integers(len(files)))].parent
        copy = Path(shutil.copytree(patient, raw / "training" / patient.name))
        frame = acdc.read_info(copy / "Info.cfg")["ED"]
        stem = copy / f"{patient.name}_frame{frame:02d}"
        return Path(f"{stem}.nii.gz"), Path(f"{stem}_gt.nii.gz")
    pairs = {"synapse": synapse._pairs, "isic2018": isic2018._pairs}
    if dataset == "cvc_clinicdb":
        frames = cvc_clinicdb._frames(source)
        frame = frames[int(generator.integers(len(frames)))]
        pair = (frame.image, frame.mask)
    else:
        all_pairs = list(pairs[dataset](source).values())
        pair = all_pairs[int(generator.integers(len(all_pairs)))]
    top = READERS[dataset].find(source)
    copied = []
    for path in pair:
        copied.append(raw / path.relative_to(top))
        copied[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied[-1])
    return copied[0], copied[1]


def _paths_now(paths: tuple[Path, Path]) -> list[Path]:
    """A change may have given the file another ending."""
    return [
        path if path.exists() else min(path.parent.glob(f"{path.name.split('.')[0]}.*"))
        for path in paths
    ]


def _read(dataset: str, raw: Path) -> RawCase:
    with warnings.catch_warnings():  # as in a job: a warning of Pillow stops nothing
        warnings.simplefilter("ignore")
        READERS[dataset].files(raw)
        return READERS[dataset].readings(raw)[0]()


def _alike(after: RawCase, before: RawCase) -> bool:
    spacing = (np.array(one.spacing_mm or 0, dtype=float) for one in (after, before))
    return (
        after.id == before.id
        and _same(after.image, before.image)
        and _same(after.label, before.label)
        and np.allclose(*spacing, rtol=1e-4)
    )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-5, atol=1e-3))


def _official(array: np.ndarray) -> np.ndarray:
    return label_maps.convert(
        np.rint(array).astype(np.uint8), label_maps.BTCV, label_maps.TRANSUNET
    )


# ---------------------------------------------------------------- volumes: what others read


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    while content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return content


def _loaded(path: Path) -> Any:
    content = _unpacked(path)
    kind = Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else Nifti1Image
    return kind.from_bytes(content)


def _affines(image: Any) -> Iterator[np.ndarray]:
    forms = [image.affine, image.get_sform(coded=True)[0]]
    with contextlib.suppress(ValueError):  # a quaternion that is none
        forms.append(image.get_qform(coded=True)[0])
    for form in forms:
        if form is not None and np.isfinite(form).all() and np.linalg.det(form[:3, :3]):
            yield form
    yield np.diag([-1.0, -1.0, 1.0, 1.0])  # stored order, where the header has no orientation


def _of_volume(path: Path, _: int) -> Iterator[np.ndarray]:
    """nibabel's voxels in LPS, by any of the orientations that the header states."""
    image = _loaded(path)
    voxels = np.asanyarray(image.dataobj)
    voxels = voxels.reshape(voxels.shape[:3])
    for affine in _affines(image):
        turn = orientations.ornt_transform(
            orientations.io_orientation(affine), orientations.axcodes2ornt("LPS")
        )
        turned = np.transpose(orientations.apply_orientation(voxels, turn), (2, 1, 0))
        for axis in range(3):  # the thick slices of a heart come first
            yield np.moveaxis(turned, axis, 0)


def _spacing_is_known(after: RawCase, path: Path, dataset: str) -> bool:
    """ITK's spacing, or the sform's, or unknown where pixdim is 0."""
    import SimpleITK

    image = _loaded(path)
    content = _unpacked(path)
    factor = {1: 1000.0, 3: 0.001}.get(int(image.header["xyzt_units"]) & 7, 1.0)
    found = sorted(np.array(after.spacing_mm))  # NaN last
    stated = np.array(image.header["pixdim"][1:4], dtype=float)
    if not content.startswith(b"\x1c\x02"):
        raw = Nifti1Header.from_fileobj(io.BytesIO(content), check=False)
        stated = np.abs(np.array(raw["pixdim"][1:4], dtype=float))
        stated[~np.isfinite(stated) | (stated == 0)] = np.nan
    forms = [np.linalg.norm(form[:3, :3], axis=0) for form in _affines(image)]
    choices = [stated, *forms, *(np.where(np.isnan(stated), form, stated) for form in forms)]
    plain = path.with_name("itk.nii")
    plain.write_bytes(content)
    try:
        choices.append(np.array(SimpleITK.ReadImage(str(plain)).GetSpacing()[:3]) / factor)
    except RuntimeError:
        pass
    finally:
        plain.unlink()
    return any(
        np.allclose(found, np.sort(one * factor), rtol=1e-4, equal_nan=True) for one in choices
    )


# ---------------------------------------------------------------- volumes: changes


def _rewrite(path: Path, image: Any) -> None:
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1))


def _turn(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    axes = [str(generator.permutation(list(pair))[0]) for pair in ("LR", "PA", "SI")]
    turn = orientations.ornt_transform(
        orientations.io_orientation(image.affine),
        orientations.axcodes2ornt(tuple(generator.permutation(axes))),
    )
    plain = Nifti1Image(np.asanyarray(image.dataobj), image.affine)
    _rewrite(path, plain.as_reoriented(turn.astype(int).tolist()))


def _units(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    unit, times = [("micron", 1e3), ("meter", 1e-3), ("unknown", 1.0)][int(generator.integers(3))]
    affine = image.affine.copy()
    affine[:3] *= times
    again = Nifti1Image(np.asanyarray(image.dataobj), affine)
    again.header.set_xyzt_units(unit)
    again.set_qform(affine, 1)
    again.set_sform(affine, 1)
    _rewrite(path, again)


def _one_form(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    again = Nifti1Image(np.asanyarray(image.dataobj), image.affine)
    lost = int(generator.integers(3))
    again.set_qform(image.affine, int(lost != 0))
    again.set_sform(image.affine, int(lost != 1))
    if lost == 2:
        sides = np.linalg.norm(image.affine[:3, :3], axis=0)
        again.set_sform(image.affine / np.append(sides, 1), 1)
        again.header["pixdim"][1:4] = sides
    _rewrite(path, again)


def _singleton(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    array = np.asanyarray(image.dataobj)
    more = [1] * int(generator.integers(1, 4))
    _rewrite(path, Nifti1Image(array.reshape(*array.shape, *more), image.affine))


def _packed(generator: Generator, path: Path) -> None:
    plain = _loaded(path).to_bytes()
    times, name = int(generator.integers(3)), str(generator.choice([".nii", ".nii.gz"]))
    for _ in range(times):
        plain = gzip.compress(plain, compresslevel=1)
    path.unlink()
    path.with_name(path.name.removesuffix(".nii.gz") + name).write_bytes(plain)


def _second(_: Generator, path: Path) -> None:
    image = _loaded(path)
    _rewrite(path, Nifti2Image(np.asanyarray(image.dataobj), image.affine))


def _swapped(_: Generator, path: Path) -> None:
    image = _loaded(path)
    header = image.header.as_byteswapped(">")
    _rewrite(path, Nifti1Image(np.asanyarray(image.dataobj), image.affine, header))


def _as_float(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    noise = 1 + float(generator.uniform(-1, 1)) * 1e-6
    array = np.asanyarray(image.dataobj).astype(np.float32) * np.float32(noise)
    _rewrite(path, Nifti1Image(array, image.affine))


def _hide(_: Generator, path: Path) -> None:
    for beside in (path, path.parent / "Thumbs.jpg"):
        beside.with_name(f"._{beside.name}").write_bytes(b"\0\5\x16\7")


def _header(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(_unpacked(path))
    change(content)
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1))


def _bytes(generator: Generator, path: Path) -> None:
    def flip(content: bytearray) -> None:
        for _ in range(int(generator.integers(1, 4))):
            content[int(generator.integers(348))] = int(generator.integers(256))

    _header(path, flip)


def _field(generator: Generator, path: Path) -> None:
    name, values = [
        ("pixdim", [0, -1, np.nan, 1, 1e6, 3.3]), ("sform_code", [0, 1, 4, -3]), ("qform_code", [0, 1, 4]),
        ("xyzt_units", [0, 1, 2, 3, 5, 255]), ("datatype", [2, 4, 8, 16, 32, 64, 128, 256, 512, 2304, 99]),
        ("dim", [0, -1, 1, 2, 7, 999]), ("vox_offset", [0, 352, 368, 1e9]), ("scl_slope", [0, 2, np.nan, np.inf]),
        ("scl_inter", [5, np.nan]), ("magic", [b"ni1", b"n+2", b""]), ("quatern_b", [0.5, 3.0]),
        ("srow_x", [0, np.nan, 7]), ("bitpix", [8, 64]), ("sizeof_hdr", [0, 540]),
    ][int(generator.integers(14))]  # fmt: skip
    value: Any = values[int(generator.integers(len(values)))]

    def change(content: bytearray) -> None:
        header = Nifti1Header.from_fileobj(io.BytesIO(bytes(content)), check=False)
        if name in ("pixdim", "dim"):
            header[name][int(generator.integers(0 if name == "dim" else 1, 5))] = value
        else:
            header[name] = value
        content[:348] = header.binaryblock

    _header(path, change)


def _no_axes(_: Generator, path: Path) -> None:
    def change(content: bytearray) -> None:
        content[252:256] = bytes(4)

    _header(path, change)


def _cut(generator: Generator, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(generator.integers(len(content)))])


def _colours(_: Generator, path: Path) -> None:
    image = _loaded(path)
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    _rewrite(path, Nifti1Image(np.zeros(image.shape, kind), image.affine))


def _shifted_labels(generator: Generator, path: Path) -> None:
    image = _loaded(path)
    off = float(generator.choice([0.002, 0.3, 20]))
    _rewrite(path, Nifti1Image(np.asanyarray(image.dataobj) + off, image.affine))


KEEP_VOLUME = {
    "other axes": _turn, "units": _units, "one form": _one_form, "singleton axes": _singleton,
    "packed or plain": _packed, "NIfTI-2": _second, "byte order": _swapped, "hidden": _hide,
}  # fmt: skip
BREAK_VOLUME = {
    "bytes": _bytes, "a field": _field, "two fields": lambda g, p: (_field(g, p), _field(g, p)),
    "no axes": _no_axes, "cut": _cut, "RGB": _colours, "shifted": _shifted_labels, "float": _as_float,
}  # fmt: skip


# ---------------------------------------------------------------- pictures: what others read


def _of_picture(path: Path, mask: int) -> Iterator[np.ndarray]:
    """Pillow's pixels, and tifffile's samples for what Pillow does not open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (_pillow, _tifffile):
            try:
                array = read(path)
            except Exception:  # one of the two will do
                continue
            if mask:
                grey = array if array.ndim == 2 else array[..., 0]
                low, high = grey.min(), grey.max()
                yield (grey > 127)[None]
                if ((grey == low) | (grey == high)).all() and low != high:
                    yield (grey == high)[None]
            else:
                yield (np.stack([array] * 3, -1) if array.ndim == 2 else array[..., :3])[None]


def _pillow(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        assert upright is not None
        return np.asarray(upright.convert("RGB"))


def _tifffile(path: Path) -> np.ndarray:
    array = tifffile.imread(path)
    return array.astype(np.uint8) * 255 if array.dtype == bool else array


# ---------------------------------------------------------------- pictures: changes


def _stored(path: Path) -> np.ndarray:
    try:
        return np.asarray(tifffile.imread(path) if path.suffix == ".tif" else Image.open(path))
    except tifffile.TiffFileError:
        return np.asarray(Image.open(path))


def _truth(path: Path) -> np.ndarray:
    array = _stored(path)
    return (array if array.dtype == bool else array > 127).astype(np.uint8)


def _named(path: Path, ending: str, save: Callable[[Path], Any]) -> None:
    """Save under the ending, and half of the time keep the old name, which then lies."""
    path.unlink()
    save(path.with_suffix(ending))


def _tiff_kind(generator: Generator, path: Path) -> None:
    array = _stored(path)
    options: list[dict[str, Any]] = [
        {"compression": "lzw"}, {"compression": "zlib", "predictor": True}, {"bigtiff": True},
        {"byteorder": ">"}, {"tile": (64, 64)}, {"rowsperstrip": 5}, {"compression": "packbits"},
    ]  # fmt: skip
    chosen = options[int(generator.integers(len(options)))]
    _named(path, ".tif", lambda one: tifffile.imwrite(one, array, photometric="rgb", **chosen))


def _planes(_: Generator, path: Path) -> None:
    array = np.moveaxis(_stored(path), -1, 0)
    _named(
        path,
        ".tif",
        lambda one: tifffile.imwrite(one, array, photometric="rgb", planarconfig="separate"),
    )


def _png(generator: Generator, path: Path) -> None:
    array = _stored(path)
    if generator.random() < 0.5:
        array = np.dstack([array, generator.integers(0, 256, array.shape[:2], dtype=np.uint8)])
    _named(path, ".png", lambda one: Image.fromarray(array).save(one, compress_level=1))


def _deep(_: Generator, path: Path) -> None:
    import imagecodecs

    array = _stored(path).astype(np.uint16) * np.uint16(257)
    _named(path, ".png", lambda one: one.write_bytes(imagecodecs.png_encode(array)))


def _turned_and_tagged(generator: Generator, path: Path) -> None:
    """Stored otherwise, with the tag that says how; upright it is the same."""
    orientation = int(generator.integers(2, 9))
    back = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = back
    picture = Image.fromarray(_stored(path))
    picture.info["exif"] = exif.tobytes()
    turned = ImageOps.exif_transpose(picture)
    assert turned is not None
    array = np.asarray(turned)
    if generator.random() < 0.5:
        tag = [(0x0112, "H", 1, orientation, True)]
        kind = "rgb" if array.ndim == 3 else "minisblack"
        _named(
            path, ".tif", lambda one: tifffile.imwrite(one, array, photometric=kind, extratags=tag)
        )
        return
    exif[0x0112] = orientation
    _named(path, ".png", lambda one: Image.fromarray(array).save(one, exif=exif, compress_level=1))


def _two_values(generator: Generator, path: Path) -> None:
    truth = _truth(path)
    low, high = sorted(generator.choice(256, 2, replace=False).tolist())
    _named(
        path, ".png", lambda one: Image.fromarray(np.where(truth, high, low).astype("u1")).save(one)
    )


def _palette(generator: Generator, path: Path) -> None:
    truth = _truth(path)
    colour = generator.integers(0, 256, 3)
    colour[int(generator.integers(3))] = int(generator.integers(1, 256))
    picture = Image.frombytes("P", truth.shape[::-1], truth.tobytes())
    picture.putpalette([0, 0, 0, *colour.tolist()])
    _named(path, str(generator.choice([".png", ".tif"])), picture.save)


def _alpha(generator: Generator, path: Path) -> None:
    truth = _truth(path)
    colour = np.full((*truth.shape, 3), generator.integers(0, 256, 3), dtype=np.uint8)
    alpha = truth * np.uint8(generator.choice([1, 128, 255]))
    _named(path, ".png", lambda one: Image.fromarray(np.dstack([colour, alpha])).save(one))


def _mask_tiff(generator: Generator, path: Path) -> None:
    truth = _truth(path)
    kind = int(generator.integers(6))
    array, options = [
        (truth, {}), (truth.astype(np.uint16), {}), (truth.astype(np.float32), {}),
        ((1 - truth) * np.uint8(255), {"photometric": "miniswhite"}),
        (truth == 0, {"photometric": "miniswhite"}), (truth > 0, {"photometric": "minisblack"}),
    ][kind]  # fmt: skip
    _named(path, ".tif", lambda one: tifffile.imwrite(one, array, **options))


def _flip(generator: Generator, path: Path) -> None:
    content = bytearray(path.read_bytes())
    # A TIFF's tags may stand at its end.
    ends = [int(generator.integers(min(400, len(content)))), -1 - int(generator.integers(200))]
    for _ in range(int(generator.integers(1, 4))):
        content[ends[int(generator.integers(2))]] = int(generator.integers(256))
    path.write_bytes(bytes(content))


def _mode(generator: Generator, path: Path) -> None:
    array = _stored(path)
    mode = str(
        generator.choice(["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F", "YCbCr", "LAB", "RGB"])
    )
    picture = Image.fromarray(array)
    if mode == "LAB":
        picture = picture.convert("RGB")
        mode = "YCbCr"
    _named(path, ".tif", picture.convert(mode).save)


def _grey_levels(generator: Generator, path: Path) -> None:
    levels = generator.integers(0, 256, int(generator.integers(1, 6)), dtype=np.uint8)
    array = levels[_stored(path).reshape(-1) % len(levels)].reshape(_stored(path).shape)
    _named(path, ".png", lambda one: Image.fromarray(array).save(one, compress_level=1))


def _jpeg(generator: Generator, path: Path) -> None:
    picture = Image.fromarray(_stored(path))
    _named(path, ".jpg", lambda one: picture.save(one, quality=int(generator.integers(20, 96))))


KEEP_PICTURE = {
    "TIFF": _tiff_kind, "planes": _planes, "PNG": _png, "16 bits": _deep, "turned": _turned_and_tagged,
    "hidden": _hide,
}  # fmt: skip
KEEP_MASK = {
    "two values": _two_values, "palette": _palette, "alpha": _alpha, "TIFF": _mask_tiff,
    "turned": _turned_and_tagged, "hidden": _hide,
}  # fmt: skip
BREAK_PICTURE = {
    "bytes": _flip, "mode": _mode, "grey levels": _grey_levels, "JPEG": _jpeg, "cut": _cut,
}  # fmt: skip
