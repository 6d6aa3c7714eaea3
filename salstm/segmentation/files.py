"""Label maps and probabilities as files: in the geometry of the image that they are of, whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from salstm.files import replacing
from salstm.segmentation.images import Image, orientation, stem

SHOWN = 255
"""Of one class, foreground in a picture, as the datasets' masks have it."""


def names(path: Path, out: Path, *, volume: bool, probabilities: bool) -> list[Path]:
    """What is written of an image: the labels, and perhaps the probabilities.

    A volume keeps its ending, a TIFF is a TIFF; other pictures become PNG, since JPEG would change labels.
    """
    if volume:
        ending = ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"
        rest = [f"{stem(path)}_probabilities{ending}"]
    else:
        ending = path.suffix.lower() if path.suffix.lower() in (".tif", ".tiff") else ".png"
        rest = [f"{stem(path)}_probabilities.npy"]
    return [out / one for one in [f"{stem(path)}{ending}", *(rest if probabilities else [])]]


def write_labels(path: Path, image: Image, labels: np.ndarray, classes: int) -> None:
    """Write labels ``(D, rows, columns)`` in native size.

    A volume has the image's header (axes, spacing, units), and numbers 0 to the number of classes as uint8; a picture
    the image's pixels and orientation, and of one class 0 and 255.
    """
    values = image.back(labels)
    if path.name.endswith((".nii", ".nii.gz")):
        _write_volume(path, image.path, values)
    else:
        _write_picture(path, image.path, values * np.uint8(SHOWN if classes == 1 else 1))


def write_probabilities(path: Path, image: Image, values: np.ndarray) -> None:
    """Write probabilities ``(D, rows, columns, classes)`` float32: NIfTI with the classes last, or NumPy's file."""
    turned = np.stack([image.back(one) for one in np.moveaxis(values, -1, 0)], axis=-1)
    if path.suffix != ".npy":
        _write_volume(path, image.path, turned)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, turned, allow_pickle=False)


def _write_volume(path: Path, like: Path, values: np.ndarray) -> None:
    import nibabel

    header: Any = nibabel.load(like).header.copy()  # pyright: ignore[reportAttributeAccessIssue]
    kind = nibabel.Nifti2Image if int(header["sizeof_hdr"]) == 540 else nibabel.Nifti1Image
    forms = [int(header[key]) for key in ("sform_code", "qform_code")]
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    made = kind(np.ascontiguousarray(values), None, header)
    made.header["sform_code"], made.header["qform_code"] = forms
    with replacing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Nibabel chooses the compression by the name.
        whole = Path(folder) / path.name
        nibabel.save(made, whole)
        whole.replace(temporary)


def _write_picture(path: Path, like: Path, values: np.ndarray) -> None:
    from PIL import Image as Pillow

    turned = orientation(like)
    picture = Pillow.fromarray(values)
    with replacing(path) as temporary:
        if path.suffix == ".png":
            exif = Pillow.Exif()
            if turned != 1:
                exif[0x0112] = turned
            picture.save(temporary, format="PNG", exif=exif)
        else:
            tags = {0x0112: turned} if turned != 1 else {}
            picture.save(temporary, format="TIFF", compression="tiff_deflate", tiffinfo=tags)
