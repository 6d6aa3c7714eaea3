"""The workflow's jobs as functions of plain arguments: for the command line, a notebook, another program.

One function a rule, which reads and writes the paths it is given and no others (but for the checkpoint of a running
training, which lies beside the weights). A folder of a cell holds its weights, ``history.csv`` and ``run.json``.

Libraries are imported inside: what needs no torch starts without it, and the fingerprint of a job
(``salstm.fingerprint``) starts at its function.
"""

from salstm.jobs.costs import cost, probe, sparsity
from salstm.jobs.data import check, fetch, prepare
from salstm.jobs.evaluation import bounds, import_predictions, score
from salstm.jobs.prediction import predict, segment
from salstm.jobs.training import train

__all__ = [
    "bounds",
    "check",
    "cost",
    "fetch",
    "import_predictions",
    "predict",
    "prepare",
    "probe",
    "score",
    "segment",
    "sparsity",
    "train",
]
