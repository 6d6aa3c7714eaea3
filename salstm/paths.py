"""Where a run's files lie, and which of them a report covers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from salstm.vocabulary import ATTENTION, IMPORTED, Identity, cells, folds_of

RELEASED_ON = "mtunet"
SPLITS = Path(__file__).parent / "data" / "splits"


def stacked_of(networks: Sequence[str]) -> str:
    """The network of a dataset's grid whose modules are stacked: the authors' own, or the first."""
    return RELEASED_ON if RELEASED_ON in networks else networks[0]


class Paths:
    """The paths of a run; Snakemake's wildcards stand in the patterns.

    A run has one report of the whole grid, named as the run, and one of each dataset, named ``<run>-<dataset>``: its
    editions.

    Attributes:
        name: of the run.
        results: folder of everything but the reports.
        cases: pattern of the folder of a dataset's prepared cases.
        cell: pattern of the folder of a cell.
        training: pattern of the folder of a training: the cell's, or one below it for each fold.
        folds: of each dataset of the grid whose cases are in folds, how many.
        collected: pattern of the folder with an edition's collected results.
        active: datasets that have networks, in the grid's order.
        editions: names of all reports.

    Args:
        config: checked.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, self.name = config, config["name"]
        self.results = f"results/{self.name}"
        self.cases = f"{self.results}/{{dataset}}/cases"
        self.cell = f"{self.results}/{{dataset}}/{{baseline}}/{{variant}}/seed{{seed}}"
        self.training = f"{self.cell}{{fold}}"
        self.collected = f"{self.results}/collected/{{edition}}"
        self.active = [dataset for dataset, chosen in config["grid"].items() if chosen]
        splits = {one: config["datasets"].get(one, {}).get("split") for one in self.active}
        counts = {one: folds_of(split) for one, split in splits.items() if split}
        self.folds = {dataset: count for dataset, count in counts.items() if count}
        self.editions = [self.name, *(f"{self.name}-{dataset}" for dataset in config["grid"])]

    def datasets(self, edition: str) -> list[str]:
        """The datasets that a report covers."""
        return [one for one in self.active if edition in (self.name, f"{self.name}-{one}")]

    def grid(self, edition: str) -> dict[str, Any]:
        """The cells that a report covers, as ``collect`` takes them."""
        chosen = self.datasets(edition)
        return {
            "grid": {one: self.config["grid"][one] for one in chosen},
            "variants": self.config["variants"],
            "seeds": self.config["seeds"],
            "folds": {one: count for one, count in self.folds.items() if one in chosen},
        }

    def imported(self, edition: str) -> list[Identity]:
        """The cells of a report that another program predicted: ``import-predictions`` has left their scores."""
        found = []
        for dataset in self.datasets(edition):
            place = Path(self.results, dataset)
            for path in sorted(place.glob(f"{IMPORTED}-*/*/seed*/scores.csv")):
                baseline, variant, seed = path.parts[-4:-1]
                found.append(Identity(dataset, baseline, variant, int(seed.removeprefix("seed"))))
        return found

    def of_imported(self, edition: str, *files: str) -> list[str]:
        """Files of every such cell."""
        folders = [self._folder(cell) for cell in self.imported(edition)]
        return [f"{folder}/{file}" for folder in folders for file in files]

    def of_datasets(self, edition: str, file: str) -> list[str]:
        """A file of every dataset of a report."""
        return [f"{self.results}/{dataset}/{file}" for dataset in self.datasets(edition)]

    def of_networks(self, edition: str, file: str) -> list[str]:
        """A file of every network of a report, under each of its datasets."""
        return [
            f"{self.results}/{dataset}/{baseline}/{file}"
            for dataset in self.datasets(edition)
            for baseline in self.config["grid"][dataset]
        ]

    def of_cells(self, edition: str, *files: str, first_seed: bool = False) -> list[str]:
        """Files of every cell of a report.

        Args:
            edition: the report.
            *files: below a cell's folder.
            first_seed: of the cells with the first seed alone.
        """
        folders = [self._folder(cell) for cell in self._cells(edition, first_seed)]
        return [f"{folder}/{file}" for folder in folders for file in files]

    def of_trainings(self, edition: str, *files: str, first_seed: bool = False) -> list[str]:
        """Files of every training of a report, as ``of_cells``: of each fold where there are folds."""
        return [
            f"{folder}/{file}"
            for cell in self._cells(edition, first_seed)
            for folder in self.trainings(cell)
            for file in files
        ]

    def trainings(self, cell: Identity) -> list[str]:
        """Folders of the trainings of a cell."""
        keys = cell.trainings(self.folds.get(cell.dataset, 0))
        return [f"{self.results}/{key}" for key in keys]

    def stacked(self, dataset: str) -> tuple[str, list[str]]:
        """The network whose trained modules are stacked, and its modules; none if the grid has none with attention."""
        network = stacked_of(self.config["grid"][dataset])
        return network, [one for one in self.config["variants"] if one in ATTENTION]

    def stacks(self, edition: str) -> list[str]:
        """The sparsity of every dataset that a report covers."""
        stacked = {dataset: self.stacked(dataset) for dataset in self.datasets(edition)}
        return [
            f"{self.results}/{dataset}/{network}/sparsity.csv"
            for dataset, (network, modules) in stacked.items()
            if modules
        ]

    def stacked_cells(self, dataset: str, file: str) -> list[str]:
        """A file of each training whose modules are stacked: of the first seed, and of the first fold."""
        network, modules = self.stacked(dataset)
        seed = self.config["seeds"][0]
        stacked = [Identity(dataset, network, one, seed) for one in modules]
        return [f"{self.trainings(cell)[0]}/{file}" for cell in stacked]

    def split_list(self, dataset: str) -> str:
        """Hash of the list that the dataset's split names; nothing where the groups are drawn."""
        path = SPLITS / f"{dataset}_{self.config['datasets'][dataset]['split']['name']}.json"
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""

    def _folder(self, cell: Identity) -> str:
        return f"{self.results}/{cell.key}"

    def _cells(self, edition: str, first_seed: bool) -> Iterator[Identity]:
        first = self.config["seeds"][0]
        for dataset in self.datasets(edition):
            for cell in cells(self.config, dataset):
                if not first_seed or cell.seed == first:
                    yield cell
