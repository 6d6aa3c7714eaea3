"""Training augmentations of the authors' recipes: functions that change the frames of one window and its label alike.

Nothing is imported until it is used: a plan knows the names, a training imports its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from salstm import vocabulary

MODULES = {
    "none": "registry",
    "rotflip": "registry",
    "missformer": "missformer",
    "dcsaunet": "recipes",
    "fcbformer": "recipes",
    "ssformer": "recipes",
    "hardnet_dfus": "recipes",
    "fanet": "recipes",
    "esfpnet": "recipes",
    "nnunet": "nnunet",
}
"""By name of an augmentation, the module here that has a function of that name; all fit grey and colour frames, one and
three of them, any classes."""


def module(name: str) -> str:
    """Full name of the module that has an augmentation.

    Raises:
        ValueError: unknown name.
    """
    return f"{__name__}.{MODULES[vocabulary.check('augmentation', name, MODULES)]}"


def augmentation(name: str) -> Callable[..., Any]:
    """An augmentation: ``(frames, label, generator)`` to both, changed by one draw.

    Raises:
        ValueError: unknown name.
    """
    return getattr(importlib.import_module(module(name)), name)
