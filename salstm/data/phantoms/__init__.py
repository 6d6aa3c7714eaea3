"""Built-in stand-ins for the datasets, in the official raw formats.

For the demo and the tests, never for results. One module per dataset; the same seed gives the same
files, and item k is the same whatever the number of items.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from salstm import vocabulary
from salstm.data.phantoms.abdomen import synapse
from salstm.data.phantoms.colon import cvc_clinicdb
from salstm.data.phantoms.heart import acdc
from salstm.data.phantoms.skin import isic2018
from salstm.fingerprint import fingerprint

__all__ = ["PHANTOMS", "acdc", "cvc_clinicdb", "ensure", "isic2018", "synapse"]

PHANTOMS: dict[str, Callable[..., Path]] = {
    "synapse": synapse,
    "acdc": acdc,
    "isic2018": isic2018,
    "cvc_clinicdb": cvc_clinicdb,
}


def ensure(dataset: str, folder: Path | str, parameters: Mapping[str, Any]) -> None:
    """Have phantom data of these parameters in a folder; does nothing if they are there.

    A file ``phantom.json`` marks a folder as made here, by which code and from which parameters; no
    other folder is ever written to.

    Args:
        dataset: a name from ``PHANTOMS``.
        folder: the raw folder of the dataset.
        parameters: keyword arguments of the dataset's function.

    Raises:
        ValueError: there is no phantom of that dataset, or a parameter that it does not have.
        FileExistsError: the folder holds data that were not made here.
    """
    make = PHANTOMS[vocabulary.check("phantom", dataset, PHANTOMS)]
    allowed = [name for name in inspect.signature(make).parameters if name != "folder"]
    for name in parameters:
        vocabulary.check(f"parameter of phantom {dataset}", name, allowed)
    folder = Path(folder)
    made = {
        "dataset": dataset,
        "code": fingerprint(f"{__name__}:PHANTOMS[{dataset}]"),
        **parameters,
    }
    mark = json.dumps(made, sort_keys=True) + "\n"
    marked = folder / "phantom.json"
    if marked.is_file() and marked.read_text(encoding="utf-8") == mark:
        return
    if folder.exists() and any(folder.iterdir()) and not marked.is_file():
        raise FileExistsError(
            f"{folder}: holds data that are no phantoms, and the configuration asks for phantoms "
            f"there; choose another raw folder, or set phantom to null to use these data"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        make(partial, **parameters)
        (partial / marked.name).write_text(mark, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
