"""One training: batches, steps, checkpoints, selections, predictions."""
