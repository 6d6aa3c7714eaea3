"""Networks that a library brings: built from a name and literals, one function a library, each in one namespace.

No folder of a network: it has no card. What it builds is looked up where a library keeps its segmentation networks, so
that a recipe, wherever it comes from, can name nothing else. Nothing is downloaded but for ``pretrained``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from baselines.libraries.model import FromLibrary, Pyramid

IN = ("in_channels", "in_channel", "in_chans", "input_channels")
OUT = ("out_channels", "num_classes", "classes", "out_channel")
SIZE = ("img_size", "image_size", "input_image_size")
WEIGHTS = ("pretrained", "use_pretrained")
"""What libraries call the channels of the frames, those of the logits, the side of the image, and trained weights."""


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    source: Mapping[str, Any],
    pretrained: bool = False,
) -> nn.Module:
    """Build a network of a library.

    Args:
        in_channels: of the frames.
        out_channels: of the logits.
        image_size: side of the input; for networks that are built for one size.
        source: ``from``, a library and a name joined by a colon; ``arguments``, by name.
        pretrained: start from the library's weights of the encoder, which it downloads.

    Raises:
        ValueError: no such library, network or argument; one that is missing, or a value that the network refuses.
    """
    library, _, name = source["from"].partition(":")
    if library not in BUILDERS:
        raise ValueError(f"no library {library!r}; {', '.join(BUILDERS)} are allowed")
    arguments = {key: _tuples(value) for key, value in source["arguments"].items()}
    shape = (in_channels, out_channels, image_size)
    network, channels = BUILDERS[library](name, arguments, shape, pretrained)
    return FromLibrary(network, f"{library}:{name}", in_channels, out_channels, channels)


def told(source: Mapping[str, Any]) -> str:
    """What the library's source says about a network, as text: there papers are named."""
    library, _, name = source["from"].partition(":")
    if library == "timm":
        import timm

        return inspect.getdoc(inspect.getmodule(timm.model_entrypoint(name))) or ""
    found = _networks(PLACES[library])[name]
    own = [vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__]
    if inspect.isclass(found):
        own.append(vars(found).get("__init__", found).__doc__)
    return "\n".join(inspect.cleandoc(one) for one in own if one)


def is_fixed(source: Mapping[str, Any]) -> bool:
    """Whether a network is built for one size."""
    library, _, name = source["from"].partition(":")
    if library == "timm":
        import timm

        return bool(getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False))
    return bool(set(inspect.signature(_networks(PLACES[library])[name]).parameters) & set(SIZE))


def _monai(
    name: str, arguments: dict[str, Any], shape: tuple[int, int, int], pretrained: bool
) -> tuple[nn.Module, int]:
    if pretrained:
        raise ValueError(f"monai:{name} has no weights to start from; set pretrained to false")
    network = _found("monai", name)
    takes = inspect.signature(network).parameters
    given = {key: value for key, value in arguments.items() if key != "spatial_dims"}
    if "spatial_dims" in takes:
        given["spatial_dims"] = 2
    for names, value in ((IN, shape[0]), (OUT, shape[1])):
        given[_named(names, takes, f"monai:{name}")] = value
    given |= dict.fromkeys(set(WEIGHTS) & set(takes), False)  # some would download by default
    for key in set(SIZE) & set(takes):
        given[key] = (shape[2], shape[2])
    return _call(f"monai:{name}", network, given), shape[0]


def _smp(
    name: str, arguments: dict[str, Any], shape: tuple[int, int, int], pretrained: bool
) -> tuple[nn.Module, int]:
    weights = "imagenet" if pretrained else None
    cell = {"in_channels": shape[0], "classes": shape[1], "encoder_weights": weights}
    return _call(f"smp:{name}", _found("smp", name), {**arguments, **cell}), shape[0]


def _torchvision(
    name: str, arguments: dict[str, Any], shape: tuple[int, int, int], pretrained: bool
) -> tuple[nn.Module, int]:
    weights = "DEFAULT" if pretrained else None
    cell = {"weights": None, "weights_backbone": weights, "num_classes": shape[1]}
    network = _call(f"torchvision:{name}", _found("torchvision", name), {**arguments, **cell})
    return network, 3


def _timm(
    name: str, arguments: dict[str, Any], shape: tuple[int, int, int], pretrained: bool
) -> tuple[nn.Module, int]:
    import timm

    if not timm.is_model(name):
        raise ValueError(_unknown("timm", name, timm.list_models()))
    cell: dict[str, Any] = {"in_chans": shape[0], "features_only": True, "pretrained": pretrained}
    if is_fixed({"from": f"timm:{name}"}):
        cell["img_size"] = shape[2]
    try:
        backbone = timm.create_model(name, **arguments, **cell)
    except Exception as error:
        raise ValueError(f"timm:{name} as a backbone: {_sentence(error)}") from error
    facts: Any = backbone.feature_info
    return Pyramid(backbone, facts.channels(), shape[1]), shape[0]


BUILDERS: dict[str, Callable[..., tuple[nn.Module, int]]] = {
    "monai": _monai,
    "smp": _smp,
    "timm": _timm,
    "torchvision": _torchvision,
}
PLACES = {
    "monai": "monai.networks.nets",
    "smp": "segmentation_models_pytorch",
    "torchvision": "torchvision.models.segmentation",
}


def _networks(place: str) -> dict[str, Callable[..., nn.Module]]:
    """The networks of a namespace: its classes of modules, and functions that torchvision lists as builders."""
    module = importlib.import_module(place)
    if place == PLACES["torchvision"]:
        from torchvision.models import list_models

        return {name: getattr(module, name) for name in list_models(module=module)}
    found = {name: one for name, one in vars(module).items() if inspect.isclass(one)}
    return {name: one for name, one in found.items() if issubclass(one, nn.Module)}


def _found(library: str, name: str) -> Callable[..., nn.Module]:
    networks = _networks(PLACES[library])
    if name not in networks:
        raise ValueError(_unknown(library, name, networks))
    return networks[name]


def _unknown(library: str, name: str, names: Iterable[str]) -> str:
    lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    meant = f", did you mean {' or '.join(lower[one] for one in near)}?" if near else ""
    return f"{library} has no network {name!r}{meant or f'; it has {len(lower)}'}"


def _named(names: tuple[str, ...], takes: Mapping[str, Any], network: str) -> str:
    found = next((one for one in names if one in takes), None)
    if found is None:
        raise ValueError(
            f"{network} has none of the arguments {', '.join(names)}: it is no segmentation network"
        )
    return found


def _call(network: str, function: Callable[..., nn.Module], arguments: dict[str, Any]) -> nn.Module:
    """Build, with a sentence about arguments that do not fit."""
    takes = inspect.signature(function).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in takes.values())
    for key in arguments:
        if key not in takes and not open_ended:
            allowed = [one for one in takes if one != "self"]
            near = difflib.get_close_matches(key, allowed, n=1)
            meant = f", did you mean {near[0]}?" if near else "."
            raise ValueError(
                f"{network} has no argument {key!r}{meant} It has {', '.join(allowed)}"
            )
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [key for key, one in takes.items() if one.default is one.empty and one.kind in kinds]
    if missing := [key for key in needed if key not in arguments]:
        raise ValueError(f"{network} needs {', '.join(missing)} as well")
    try:
        return function(**arguments)
    except Exception as error:
        raise ValueError(f"{network} refuses its arguments: {_sentence(error)}") from error


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error.args[0] if error.args else error).split())
    return f"{type(error).__name__}: {text[:300]}"


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that libraries want."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {key: _tuples(one) for key, one in value.items()} if isinstance(value, dict) else value
