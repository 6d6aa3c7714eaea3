"""What each command of ``salstm.cli`` is told, as argparse takes it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from salstm import config
from salstm.data.datasets import DATASETS
from salstm.training import machine
from salstm.vocabulary import DUPLICATES, PLAIN, SELECTIONS, VARIANTS


def number_or_null(text: str) -> int | None:
    """Type of an option that is a whole number or the word null."""
    return None if text == "null" else int(text)


def folder(text: str) -> Path:
    """Type of an option that is a folder in the user's own words, ``~`` and variables and all."""
    try:
        return Path(config.expanded(text))
    except config.ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def word_or_null(text: str) -> str | None:
    """A word, or nothing for ``null``."""
    return None if text == "null" else text


def cell(text: str) -> Path:
    """Type of an option that is the folder of a cell, or its run.json."""
    path = Path(text)
    return path.parent if path.name == "run.json" else path


DATASET = {"--dataset": {"required": True, "help": ", ".join(DATASETS)}}
RAW = {"--raw": {"type": folder, "required": True, "help": "folder of the raw data"}}
CASES = {"--cases": {"type": Path, "required": True, "help": "folder of the prepared cases"}}
OUT = {"--out": {"type": Path, "required": True, "help": "where the result goes"}}
BASELINE = {"--baseline": {"required": True, "help": "a network: python -m salstm networks"}}
RUN = {
    "--run": {
        "type": cell,
        "required": True,
        "dest": "run_folder",
        "help": "folder of the cell, or its run.json",
    }
}
RESULTS = {"--results": {"type": Path, "required": True, "help": "results/<name>"}}
GRID = {"--grid": {"type": json.loads, "required": True, "help": "JSON"}}
PHANTOMS = {
    "--phantoms": {
        "type": json.loads,
        "default": "[]",
        "help": "datasets that are made up, JSON",
    }
}
COLLECTED = {"--collected": {"type": Path, "required": True, "help": "what collect wrote"}}
THREADS = {"--threads": {"type": int, "default": 0, "help": "CPU threads; 0: all"}}
DEVICE = {"--device": {"default": "auto", "help": "auto, cpu or cuda"}}
CONFIG = {
    "--config": {
        "type": Path,
        "nargs": "+",
        "default": [Path("config.yaml")],
        "help": "each is laid over the one before",
    }
}
CONFIGURED = "with what these files declare; each is laid over the one before"
STATISTICS = {
    "--statistics": {"type": json.loads, "default": "{}", "help": "config's statistics, JSON"}
}
CHOSEN = {
    "--chosen": {
        "type": json.loads,
        "default": "{}",
        "help": "what is measured beyond, JSON: metrics, tolerances (by class) and their unit, subgroups",
    }
}

CLAIMS = {
    "--claims": {"type": Path, "default": Path("claims.yaml"), "help": "the sentences"},
}
SOURCE = {"type": Path, "help": "an archive of publish, its folder, or results/<name>"}
DESCRIBED = {
    "--config": {
        **CONFIG["--config"],
        "help": "of a folder results/<name>: the files that the run was made with",
    },
    **CLAIMS,
}

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "fetch": {
        **DATASET,
        **RAW,
        "--phantom": {"type": json.loads, "default": "null", "help": "its parameters, JSON"},
        "--sources": {"type": Path, "help": "another file like salstm/data/sources.yaml"},
        "--changes": {
            "default": "none",
            "help": "what the plan saw of the raw files; kept in --out",
        },
        "--all": {"action": "store_true", "help": "what only the official split uses, too"},
        **OUT,
    },
    "prepare": {
        **DATASET,
        **RAW,
        "--manifest": {"type": Path, "required": True, "help": "raw.json of fetch"},
        "--split": {"type": json.loads, "required": True, "help": "config's split, JSON"},
        "--size": {"type": number_or_null, "required": True, "help": "pixels, or null"},
        "--axes": {
            "type": word_or_null,
            "default": None,
            "help": "of volumes whose header has no orientation, like LPS",
        },
        **THREADS,
        **OUT,
    },
    "check": {**DATASET, **CASES, **OUT},
    "train": {
        **DATASET,
        **BASELINE,
        "--variant": {"required": True, "help": ", ".join(VARIANTS)},
        "--seed": {"type": int, "required": True},
        "--fold": {"type": int, "help": "which one is tested, where the cases are in folds"},
        "--recipe": {"type": json.loads, "required": True, "help": "JSON"},
        **CASES,
        "--out": {"type": cell, "required": True, "help": "its folder, or its run.json"},
        "--weights": {
            "type": Path,
            "nargs": "?",
            "const": Path("data/weights"),
            "default": Path("data/weights"),
            "help": "folder of the backbone's published weights, where the recipe wants them",
        },
        **THREADS,
        **DEVICE,
        "--machine": {
            "type": json.loads,
            "default": machine.shared(),
            "help": "config's machine, JSON: salstm/training/machine.py; changes no science",
        },
    },
    "predict": {
        **RUN,
        **CASES,
        "--out": {"type": Path, "help": "folder of the labels; default: predictions in the cell's"},
        "--calibration": {
            "action": "store_true",
            "help": "also the calibration error of each case",
        },
        "--maps": {"action": "store_true", "help": "also the probabilities of each case: large"},
        **THREADS,
        **DEVICE,
    },
    "segment": {
        **RUN,
        "--selection": {
            "choices": list(SELECTIONS),
            "default": "best_val",
            "help": "which weights; default: best_val",
        },
        "files": {"type": Path, "nargs": "+", "help": "images, or folders of them"},
        "--out": {"type": Path, "required": True, "help": "folder of the label maps"},
        "--cases": {"type": Path, "help": "of the training; default: found above its folder"},
        "--axes": {
            "type": word_or_null,
            "default": None,
            "help": "of volumes whose header has no orientation, like LPS",
        },
        "--sequence": {
            "action": "store_true",
            "help": "the pictures are frames of one video, in this order: each sees its neighbours",
        },
        "--probabilities": {"action": "store_true", "help": "write each class's, too"},
        "--batch": {"type": int, "default": 0, "help": "frames at once; default: the recipe's"},
        **THREADS,
        **DEVICE,
    },
    "score": {
        "--run": {**RUN["--run"], "nargs": "+", "help": "folders of the cell, or of its folds"},
        **CASES,
        "--predictions": {
            "type": Path,
            "nargs": "+",
            "help": "default: predictions in these folders",
        },
        **CHOSEN,
        **OUT,
    },
    "import_predictions": {
        "folder": {"type": Path, "help": "a label file for each tested case, in native size"},
        **DATASET,
        **RESULTS,
        "--name": {"required": True, "help": "of what made them; tables print imported-<name>"},
        "--variant": {"default": PLAIN, "help": ", ".join(VARIANTS)},
        "--seed": {"type": int, "default": 0, "help": "of the training that made them"},
        "--config": {
            **CONFIG["--config"],
            "help": "the files that the run was made with: which metrics and subgroups its cells have",
        },
        "--names": {"type": Path, "help": "CSV with columns file, case; default: called as cases"},
        "--axes": {
            "type": word_or_null,
            "default": None,
            "help": "of volumes whose header has no orientation, like LPS",
        },
    },
    "bounds": {**DATASET, **CASES, **CHOSEN, **OUT},
    "sparsity": {
        "--runs": {
            "type": cell,
            "nargs": "+",
            "required": True,
            "dest": "run_folders",
            "help": "cells of one network, each with another module: folders, or their run.json",
        },
        **CASES,
        "--layers": {"type": int, "default": 10, "help": "modules in the stack"},
        "--count": {"type": int, "default": 4, "help": "cases of each split"},
        **THREADS,
        **DEVICE,
        **OUT,
    },
    "cost": {
        **DATASET,
        **BASELINE,
        "--recipes": {"type": json.loads, "required": True, "help": "recipe by variant, JSON"},
        **THREADS,
        **OUT,
    },
    "collect": {**RESULTS, **GRID, **OUT},
    "claims": {
        **COLLECTED,
        **CLAIMS,
        **STATISTICS,
        **GRID,
        "--limits": {
            "type": json.loads,
            "default": "[]",
            "help": "why this run cannot decide about accuracy, JSON",
        },
    },
    "tables": {**COLLECTED, **STATISTICS, **PHANTOMS, **OUT},
    "figures": {
        **COLLECTED,
        **RESULTS,
        **STATISTICS,
        **PHANTOMS,
        "--no-pictures": {"action": "store_true", "help": "draw no pictures of cases"},
        **OUT,
    },
    "export": {**COLLECTED, **RESULTS, **STATISTICS, **OUT},
    "report": {
        **COLLECTED,
        **RESULTS,
        **STATISTICS,
        "--tables": {
            "type": Path,
            "help": "what tables wrote; default: tables beside --out",
        },
        "--figures": {
            "type": Path,
            "help": "what figures wrote; default: figures beside --out",
        },
        **PHANTOMS,
        **OUT,
    },
    "publish": {
        "source": SOURCE,
        **DESCRIBED,
        "--weights": {"action": "store_true", "help": "with the trainings' weights"},
        "--out": {"type": Path, "required": True, "help": "the archive, .zip"},
    },
    "reanalyze": {"source": SOURCE, **DESCRIBED, **OUT},
    "merge": {
        "sources": {**SOURCE, "nargs": "+"},
        **DESCRIBED,
        "--duplicates": {
            "choices": DUPLICATES,
            "default": DUPLICATES[0],
            "help": "cells that several have and that differ",
        },
        **OUT,
    },
    "networks": {"--config": {**CONFIG["--config"], "default": None, "help": CONFIGURED}},
    "datasets": {"--config": {**CONFIG["--config"], "default": None, "help": CONFIGURED}},
    "new": {
        "kind": {"choices": ["network", "dataset"]},
        "name": {"help": "small letters, digits and _"},
    },
    "doctor": {
        **CONFIG,
        "--deep": {"action": "store_true", "help": "compare all data with the official (slow)"},
    },
    "plan": {
        **CONFIG,
        "--results": {"type": Path, "help": "default: results/<name>"},
        "--recipes": {
            "action": "store_true",
            "help": "instead: optimizer steps, looks at the test set and the authors' selection of each cell",
        },
        "--probe": {
            "action": "store_true",
            "help": "first time 20 iterations of each network and variant on this machine",
        },
        "--power": {
            "action": "store_true",
            "help": "instead: the smallest gain in Dice that this grid can detect, for 3, 5 and 10 seeds",
        },
        "--budget": {
            "metavar": "HOURS",
            "help": "instead: which networks and seeds answer most in so many GPU-hours, such as 100h or 4d",
        },
        **THREADS,
        **DEVICE,
    },
    "examine": {
        "asked": {"type": Path, "help": "what salstm.contract asks, JSON"},
        "out": {"type": Path, "help": "the answer, JSON"},
    },
    "weights": {
        **BASELINE,
        "--folder": {
            "type": Path,
            "help": "where the files are, or are downloaded to; linked beside --out; default: beside --out",
        },
        "--out": {"type": Path, "required": True, "help": "the list of the files, JSON"},
    },
    "import_weights": {**BASELINE, "file": {"type": Path}, "out": {"type": Path}},
}
"""By command."""
