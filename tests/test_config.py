"""The configuration: defaults, the grid, and messages that name the place and the cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import baselines
from salstm import config, recipes
from salstm.data import datasets, own, splits
from salstm.vocabulary import cells

ROOT = Path(__file__).parent.parent
NETWORKS = baselines.names()


@pytest.fixture
def paper() -> dict:
    return config.load(ROOT / "config.yaml")


def test_the_papers_grid_has_fifteen_networks_and_sixty_cells_a_seed(paper):
    checked = config.checked(paper, NETWORKS)
    assert len({name for chosen in checked["grid"].values() for name in chosen}) == 15
    assert len(list(cells(checked))) == 60 * len(checked["seeds"])
    assert len(list(cells(checked, "acdc"))) == 15 * len(checked["seeds"])


def test_the_demo_trains_every_dataset_on_phantoms():
    merged = config.merge(config.load(ROOT / "config.yaml"), config.load(ROOT / "config.demo.yaml"))
    assert all(merged["grid"][name] for name in datasets.DATASETS)
    assert all(merged["datasets"][name]["phantom"] for name in datasets.DATASETS)


@pytest.mark.parametrize(
    "name", ["config.demo.yaml", "config.small.yaml", "config.frames.yaml", "config.example.yaml"]
)
def test_small_configurations_fit_the_schema(paper, name):
    laid = config.merge(paper, config.load(ROOT / name))
    checked = config.checked(laid, NETWORKS)
    assert list(cells(checked))
    assert checked["statistics"]["level"] == 0.95
    for dataset, block in checked["datasets"].items():
        # A key that the file below it left there would be refused when the data are prepared.
        assert splits.resolve(dataset, block["split"], map(str, range(30)))


def test_defaults_are_filled_in_at_every_depth(paper):
    del paper["statistics"], paper["datasets"]["acdc"]["split"]
    checked = config.checked(paper, NETWORKS)
    assert checked["statistics"]["resamples"] == 10000
    assert checked["datasets"]["acdc"]["split"] == {"name": "paper"}
    assert checked["datasets"]["acdc"]["phantom"] is None
    assert checked["jobs_per_gpu"] == 1
    assert "statistics" not in paper, "the argument is changed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, r"top level: unknown key 'sedes', did you mean seeds\?"),
        (
            {"recipes": {"defaults": {"epoch": 3}}},
            r"recipes.defaults: unknown key 'epoch', did you mean epochs\?",
        ),
        ({"zz": 1}, r"top level: unknown key 'zz'\. Allowed: datasets"),
        ({"variants": ["plane"]}, r"variants.0: 'plane' is not allowed, did you mean plain\?"),
        (
            {"grid": {"acdc": ["mtunnet"]}},
            r"grid.acdc: no network 'mtunnet' .* did you mean mtunet\?",
        ),
        (
            {"recipes": {"defaults": {"epochs": 0}}},
            "recipes.defaults.epochs: 0 is less than the minimum of 1",
        ),
        (
            {"recipes": {"defaults": {"attention_size": "mop"}}},
            "attention_size: 'mop' does not fit. A positive number",
        ),
        ({"datasets": {"acdc": {"raw": 5}}}, "datasets.acdc.raw: 5 is not of type 'string'"),
    ],
)
def test_every_mistake_is_named_with_place_and_cure(paper, change, message):
    with pytest.raises(config.ConfigError, match=message):
        config.checked(config.merge(paper, change), NETWORKS)


MINE = {"reader": "folder", "raw": "mine", "classes": {"RV": 1, "MYO": 2}}


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(datasets, "DATASETS", dict(datasets.DATASETS))
    for module in (own, config, recipes):
        monkeypatch.setattr(module, "DATASETS", datasets.DATASETS)


def test_a_dataset_of_ones_own_is_registered_with_defaults(paper, registry):
    laid = config.merge(paper, {"datasets": {"mine": MINE}, "grid": {"mine": ["unet"]}})
    checked = config.checked(laid, NETWORKS, baselines.problems)
    block = checked["datasets"]["mine"]
    assert block["split"] == {"name": "groups", "validation": 0.1, "test": 0.2, "seed": 0}
    assert (block["size"], block["frames"], block["phantom"], block["kind"]) == (
        224,
        1,
        None,
        "colour",
    )
    entry = datasets.DATASETS["mine"]
    assert (entry.label, entry.classes, entry.channels, entry.binary) == (
        "mine",
        ("RV", "MYO"),
        3,
        False,
    )
    assert checked["grid"]["mine"] == ["unet"]
    with pytest.raises(config.ConfigError, match=r"unknown key 'mine'"):
        config.checked(config.merge(paper, {"grid": {"mine": ["unet"]}}), NETWORKS)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mine", {"clases": {}}, r"datasets.mine: unknown key 'clases', did you mean classes\?"),
        (
            "mine",
            {"reader": "foldr"},
            r"datasets.mine.reader: 'foldr' is not allowed, did you mean fol",
        ),
        ("mine", {"kind": "MRI"}, r"datasets.mine.kind: 'MRI' is not allowed, did you mean MR\?"),
        (
            "mine",
            {"classes": {"x": 0}},
            r"datasets.mine.classes.x: 0 is less than the minimum of 1",
        ),
        ("mine", {"classes": {"x": 1, "y": 1}}, r"datasets.mine.classes: 1 is the number of two"),
        ("mine", {"group": "("}, r"datasets.mine.group: '\(' is no regular expression"),
        ("mine", {"frames": 2}, r"datasets.mine.frames: 2 is not allowed"),
        ("mine", {"split": {"name": "paper"}}, r"datasets.mine.split.name: 'paper' is not allowed"),
        ("mine", {"split": {"name": "official", "test": 0.2}}, r"datasets.mine.split: of official"),
        ("mine", {"raw": "~nobody-of-that-name/x"}, r"datasets.mine.raw: .*no user"),
        ("train", {}, r"datasets.train: a dataset cannot be called so"),
        ("my data", {}, r"datasets.my data: a dataset cannot be called so"),
        ("acdc", {}, r"datasets.acdc: unknown key 'reader'"),
    ],
)
def test_mistakes_about_ones_own_dataset_are_named(paper, name, change, message, registry):
    laid = config.merge(paper, {"datasets": {name: {**MINE, **change}}})
    with pytest.raises(config.ConfigError, match=message):
        config.checked(laid, NETWORKS)


def test_a_recipe_that_does_not_fit_ones_own_dataset_is_refused(paper, registry):
    layers = {"datasets": {"mine": {"activation": "sigmoid", "loss": {"name": "bce"}}}}
    laid = {"datasets": {"mine": MINE}, "grid": {"mine": ["unet"]}, "recipes": layers}
    with pytest.raises(config.ConfigError, match=r"sigmoid is for one class, mine has 2"):
        config.checked(config.merge(paper, laid), NETWORKS)


def test_no_name_of_a_rule_or_a_command_can_be_a_datasets():
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("workflow/rules/*.smk"))
    text += (ROOT / "Snakefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^rule (\w+):", text, flags=re.MULTILINE)) <= set(own.TAKEN)


def test_all_mistakes_come_at_once(paper):
    wrong = config.merge(paper, {"sedes": [1], "variants": ["plane"]})
    with pytest.raises(config.ConfigError, match=r"(?s)sedes.*plane|plane.*sedes"):
        config.checked(wrong, NETWORKS)


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path):
    with pytest.raises(config.ConfigError, match="no such file"):
        config.load(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2")
    with pytest.raises(config.ConfigError, match="line"):
        config.load(broken)


def test_merging_lays_keys_over_and_replaces_lists():
    base = {"a": {"x": 1, "y": 2}, "l": [1, 2]}
    assert config.merge(base, {"a": {"y": 3}, "l": [9]}) == {"a": {"x": 1, "y": 3}, "l": [9]}
    assert base == {"a": {"x": 1, "y": 2}, "l": [1, 2]}


def test_seeds_from_the_command_line_are_numbers(paper):
    """`snakemake --config 'seeds=[0,1]'` hands over a list of texts."""
    assert config.checked({**paper, "seeds": ["0", "7"]}, NETWORKS)["seeds"] == [0, 7]
    with pytest.raises(config.ConfigError, match=r"seeds\.0: '1\.5' is not of type 'integer'"):
        config.checked({**paper, "seeds": ["1.5"]}, NETWORKS)


@pytest.mark.parametrize("raw", ["~/acdc", "$HOME/acdc", "${HOME}/acdc", "$HERE/x/../acdc"])
def test_a_raw_folder_is_read_as_a_shell_reads_it(paper, monkeypatch, raw):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("HERE", "/home/someone")
    paper["datasets"]["acdc"]["raw"] = raw
    checked = config.checked(paper, baselines.names())
    assert Path(checked["datasets"]["acdc"]["raw"]).parts[-1] == "acdc"
    assert checked["datasets"]["acdc"]["raw"].startswith("/home/someone/")
    assert paper["datasets"]["acdc"]["raw"] == raw
    assert checked["datasets"]["synapse"]["raw"] == paper["datasets"]["synapse"]["raw"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("$NO_SUCH_THING/acdc", r"datasets\.acdc\.raw: .*the variable \$NO_SUCH_THING is not set"),
        ("${NO_SUCH_THING}/acdc", r"datasets\.acdc\.raw: .*\$\{NO_SUCH_THING\} is not set"),
        ("~nobody-of-that-name/acdc", r"datasets\.acdc\.raw: .*no user 'nobody-of-that-name'"),
    ],
)
def test_a_raw_folder_that_cannot_be_filled_in_is_named(paper, raw, message):
    paper["datasets"]["acdc"]["raw"] = raw
    with pytest.raises(config.ConfigError, match=message):
        config.checked(paper, baselines.names())
