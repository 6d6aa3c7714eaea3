"""What a number of GPU-hours answers: the choice by hand, and as a person types it."""

import math
import re
from pathlib import Path

import pytest

from salstm import cli
from salstm.cost import budget
from salstm.cost.budget import Block

ROOT = Path(__file__).parents[2]
GAINS = {3: 0.04, 5: 0.02, 10: 0.01}


def block(network, hours, gains=GAINS):
    return Block("acdc", network, [hours] * 10, dict(gains))


@pytest.mark.parametrize(("text", "hours"), [("100", 100), ("100h", 100), ("1.5d", 36)])
def test_hours_are_read(text, hours):
    assert budget.hours(text) == hours


@pytest.mark.parametrize("text", ["", "0", "ten", "-5h", "5w"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="allowed is a time such as 100h or 4d"):
        budget.hours(text)


def test_breadth_comes_before_depth_and_the_cheap_before_the_dear():
    cheap, dear, huge = block("cheap", 1), block("dear", 5), block("huge", 100)
    # 3 + 15 hours for three seeds of both, 2 for two more of the cheap one (5 more for ten: 7 are not left).
    assert budget.choose([huge, dear, cheap], 21) == 1
    assert (cheap.seeds, dear.seeds, huge.seeds) == (5, 3, 0)


def test_more_is_bought_where_an_hour_tells_most():
    sharp, blunt = block("sharp", 1), block("blunt", 1, {3: 0.04, 5: 0.039, 10: 0.038})
    budget.choose([blunt, sharp], 8)
    assert (sharp.seeds, blunt.seeds) == (5, 3)


def test_what_tells_nothing_or_has_no_hours_is_not_chosen():
    never = block("never", 1, dict.fromkeys(GAINS, math.nan))
    unknown = block("unknown", math.nan)
    assert budget.choose([never, unknown], 50) == 50
    assert never.seeds == unknown.seeds == 0


def test_it_is_told_as_a_person_asks(capsys, tmp_path):
    given = ["plan", "--config", str(ROOT / "config.yaml"), "--results", str(tmp_path)]
    assert cli.main([*given, "--budget", "200h"]) == 0
    text = capsys.readouterr().out
    spent = [float(row[1]) for row in re.findall(r"^\S.* (3|5|10) +([\d.]+)  [\d.]+$", text, re.M)]
    assert spent
    assert sum(spent) <= 200
    assert f"Open: {20 - len(spent)} of 20 networks" in text
    assert "can be contradicted" in text
    assert cli.main([*given, "--budget", "5000h"]) == 0
    assert "can be answered either way" in capsys.readouterr().out


def test_a_wrong_time_ends_the_command(capsys, tmp_path):
    given = ["plan", "--config", str(ROOT / "config.yaml"), "--results", str(tmp_path)]
    assert cli.main([*given, "--budget", "soon"]) != 0
    assert "--budget: found 'soon'" in capsys.readouterr().err
