"""The configuration: defaults, the grid, and messages that name the place and the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

import baselines
from salstm import config
from salstm.data import datasets, splits
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


@pytest.mark.parametrize("name", ["config.demo.yaml", "config.small.yaml", "config.frames.yaml"])
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
