# The real Snakefile, asked what the param `code` of each of its jobs is after each of some edits: for test_reruns.py.
import json
import os
import sys
from pathlib import Path

from snakemake.iocontainers import Wildcards

import baselines
from salstm import fingerprint as prints
from salstm import vocabulary

HERE = Path.cwd()
ORIGINAL, ASKED = prints.fingerprint, {}


def recording(*roots):
    """As fingerprint; what a rule asked once, when it was read, can be asked again after an edit."""
    found = ORIGINAL(*roots)
    ASKED[found] = roots
    return found


prints.fingerprint = recording


include: HERE / "Snakefile"


# Of the other datasets real data are asked for.
config["datasets"]["isic2018"]["phantom"] = {"images": 8}
RULES = [one for one in workflow.rules if "code" in one.params.keys()]
CONSTANT = {
    one.name: ASKED[one.params.code] for one in RULES if not callable(one.params.code)
}


def jobs():
    """Rule and wildcards of every job that has a param `code`."""
    cells = list(vocabulary.cells({**config, "seeds": config["seeds"][:1]}))
    for one in RULES:
        names = [name for name in one.wildcard_names if name not in ("selection", "fold")]
        if names == ["edition"]:
            yield one, {"edition": config["name"]}
            continue
        seen = {
            tuple((name, getattr(cell, name)) for name in sorted(names))
            for cell in cells
        }
        yield from ((one, dict(wildcards)) for wildcards in sorted(seen))


def codes():
    """The param of every job, as the code is now."""
    for each in (ORIGINAL, code_of_cell, *vars(prints).values()):
        if hasattr(each, "cache_clear") and each is not prints._known:
            each.cache_clear()
    found = {}
    for one, wildcards in jobs():
        if one.name in CONSTANT:
            code = ORIGINAL(*CONSTANT[one.name])
        else:
            code = one.params.code(Wildcards(fromdict=wildcards))
        found[" ".join([one.name, *map(str, wildcards.values())])] = code
    return found


before, changed = codes(), {}
for name, (file, old, new) in json.loads(Path("edits.json").read_text()).items():
    path = HERE / file
    text = path.read_text()
    path.write_text(text.replace(old, new, 1) if old else text + new)
    after = codes()
    changed[name] = [job for job in before if after[job] != before[job]]
    path.write_text(text)
assert codes() == before
Path("changed.json").write_text(json.dumps({"jobs": list(before), "changed": changed}))
