"""The table of the networks' cards."""

import baselines
from salstm import cards
from tests import synthetic


def test_exact_text():
    one = {"mtunet": synthetic.cards()["mtunet"]}
    assert cards.table(one) == (
        "| Network | Name | Year | Paper | Datasets | Parameters [M] | MACs [G] | Input [px] | Weights |"
        " Licence of the authors' code | Deviations |\n"
        "| --- | --- | ---: | --- | --- | ---: | ---: | ---: | --- | --- | ---: |\n"
        "| MT-UNet | `mtunet` | 2022 | [V](https://example.org/paper) | acdc | 79.08 | 40.47 | 224 |"
        " pretrained backbone | MIT | 2 |"
    )


def test_a_card_without_counts_of_work_has_a_dash():
    card = synthetic.cards()["mtunet"]
    card["counts"] = card["counts"][:1]
    assert "| 79.08 | – | 224 |" in cards.table({"mtunet": card})


def test_every_network_has_its_row():
    lines = cards.table({name: baselines.card(name) for name in baselines.names()}).splitlines()
    assert len(lines) == 2 + len(baselines.names())
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    for name, line in zip(baselines.names(), lines[2:], strict=True):
        assert f"`{name}`" in line
        assert len(line) < 320
