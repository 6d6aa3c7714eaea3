"""Training augmentations of the authors' recipes."""
