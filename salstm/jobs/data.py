"""Raw files to cases: the jobs before a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def fetch(
    dataset: str,
    raw: Path,
    out: Path,
    *,
    phantom: Mapping[str, Any] | None = None,
    changes: str = "none",
    sources: Path | None = None,
    everything: bool = False,
) -> None:
    """Find, make or download a dataset's raw files and list them with their hashes.

    Args:
        dataset: its name.
        raw: folder of the raw data.
        out: the list, JSON.
        phantom: parameters of the built-in stand-in; None for real data.
        changes: what a plan saw of the raw files; kept in the list (``salstm.data.acquire.listing``).
        sources: another file like salstm/data/acquire/sources.yaml.
        everything: also what only the official split uses.

    Raises:
        FileNotFoundError: data that are not there and cannot be downloaded; says what to do.
        FileExistsError: phantoms are asked for where real data lie.
    """
    from salstm.data.acquire import listing

    if phantom is not None:
        from salstm.data import phantoms

        phantoms.ensure(dataset, raw, phantom)
    else:
        from salstm.data.acquire import download

        download.fetch(dataset, raw, listed=sources, everything=everything)
    listing.write(out, dataset, raw, changes)


def prepare(
    dataset: str,
    raw: Path,
    manifest: Path,
    out: Path,
    *,
    split: Mapping[str, Any],
    size: int | None,
    axes: str | None = None,
    threads: int = 1,
) -> None:
    """Turn raw files into cases: one orientation, one size, split, one memory map.

    Args:
        dataset: its name.
        raw: folder of the raw data.
        manifest: the list that ``fetch`` wrote.
        out: folder of the prepared cases.
        split: as in config.yaml.
        size: side of the stored frames in pixels; None for the native size.
        axes: where the axes of volumes point whose header does not say, like 'LPS'.
        threads: cases that are read at once.
    """
    from salstm.data import datasets
    from salstm.data.acquire import listing

    options = {"split": split, "size": size, "axes": axes, "manifest": listing.files(manifest)}
    datasets.prepare(dataset, raw, out, **options, threads=threads)


def check(dataset: str, cases: Path, out: Path) -> None:
    """Audit prepared cases: counts, sizes, intensities, class volumes, duplicates, groups on both sides."""
    from salstm.data import audit, datasets
    from salstm.data.store import Store
    from salstm.files import write_csv

    classes = datasets.DATASETS[datasets.check(dataset)].classes
    table = audit.audit(Store(cases), classes)
    write_csv(out, table)
    audit.judge(table)
