"""What each operator of a traced network costs: handlers for fvcore's counter, in four columns.

A handler returns a counter whose keys are "column:operator":

- `macs`: multiply-adds of what is heavy (`HEAVY` below);
- `activations`: output elements of the same operators;
- `light`: elements written, or read by a reduction, of operators that do a few operations each;
- `fvcore`: what fvcore's own handler says, if it has one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

Handler = Callable[[list[Any], list[Any]], Counter[str]]

# A few operations for each element that they read or write, whatever the parameters: functions of
# one number, arithmetic, reductions, norms, pooling, resampling.
LIGHT = """
    abs ceil celu clamp clamp_max clamp_min cos elu erf exp expm1 gelu glu hardsigmoid hardswish hardtanh
    leaky_relu log log1p log_sigmoid log_softmax mish neg pow prelu reciprocal relu relu6 rsqrt selu
    sigmoid sign silu sin softmax softplus sqrt square tanh
    add addcdiv addcmul div fmod isnan le lerp logical_and logical_not logical_or lt maximum minimum
    ne round rsub sub true_divide where
    all amax amin any argmax argmin cumsum linalg_vector_norm logsumexp max mean min norm prod sort
    std sum topk var
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d avg_pool2d batch_norm
    grid_sampler group_norm instance_norm layer_norm max_pool1d max_pool2d max_pool2d_with_indices
    rms_norm upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d
"""
# Copies and views that fvcore does not list as free.
FREE = """
    T alias broadcast_to clone col2im conj empty_like expand_as feature_dropout fill flip im2col
    index_select lift_fresh linspace mT masked_select meshgrid movedim moveaxis numpy_T one_hot
    ones_like pad pixel_shuffle pixel_unshuffle ravel reflection_pad2d repeat repeat_interleave
    replication_pad2d reshape_as resolve_conj scalar_tensor scatter swapaxes take take_along_dim
    tensor_split tile tril triu unflatten unfold view_as zero
"""


def handlers() -> dict[str, Handler | None]:
    """All handlers, by the operator's full name; None marks what is free."""
    from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS as OWN

    table: dict[str, Handler | None] = {}
    for name in FREE.split():
        table[f"aten::{name}"] = table[f"aten::{name}_"] = None
    for name in LIGHT.split():
        table[f"aten::{name}"] = table[f"aten::{name}_"] = _light(name, OWN.get(f"aten::{name}"))
    for name, macs in HEAVY.items():
        table[f"aten::{name}"] = _heavy(name.strip("_"), macs, OWN.get(f"aten::{name}"))
    table["aten::mul"] = table["aten::mul_"] = _multiply
    return table


def _heavy(name: str, macs: Callable[[list[Any], list[Any]], int], own: Any) -> Handler:
    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        counts = Counter({f"macs:{name}": macs(inputs, outputs)})
        counts[f"activations:{name}"] = _elements(outputs[0])
        return counts + _own(name, own, inputs, outputs)

    return handler


def _light(name: str, own: Any) -> Handler:
    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        touched = max(_elements(inputs[0]), _elements(outputs[0]))
        return Counter({f"light:{name}": touched}) + _own(name, own, inputs, outputs)

    return handler


def _own(name: str, own: Any, inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """What fvcore's handler counts, in its column; nothing if it has none."""
    if own is None:
        return Counter()
    try:
        value = own(inputs, outputs)
    except (AssertionError, IndexError):  # what it cannot count it would not have counted
        return Counter()
    return Counter({f"fvcore:{name}": sum(value.values()) if isinstance(value, dict) else value})


def _multiply(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A product is light, unless both sides are spread over each other: matmul by hand."""
    out = _elements(outputs[0])
    if out >= 2 * max(_elements(one) for one in inputs[:2]):
        return Counter({"macs:outer_product": out, "activations:outer_product": out})
    return Counter({"light:mul": out})


def _convolution(inputs: list[Any], outputs: list[Any]) -> int:
    transposed = inputs[6].toIValue()
    each = math.prod(_shape(inputs[1])[1:])
    return _elements(inputs[0] if transposed else outputs[0]) * each


def _plain_convolution(inputs: list[Any], outputs: list[Any]) -> int:
    return _elements(outputs[0]) * math.prod(_shape(inputs[1])[1:])


def _product(inputs: list[Any], outputs: list[Any]) -> int:
    """Matrix product, its first factor first: output elements times the summed length."""
    return _elements(outputs[0]) * _shape(inputs[0])[-1]


def _added_product(inputs: list[Any], outputs: list[Any]) -> int:
    return _product(inputs[1:], outputs)


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """Two operands: the product of all letters' lengths."""
    equation = str(inputs[0].toIValue()).replace(" ", "")
    shapes = [_shape(one) for one in inputs[1].node().inputs()]
    terms = equation.split("->")[0].split(",")
    if len(terms) != 2 or "." in equation:
        raise ValueError(f"einsum {equation!r}: two operands without an ellipsis can be counted")
    lengths = dict(
        pair for term, shape in zip(terms, shapes, strict=True) for pair in _zip(term, shape)
    )
    return math.prod(lengths.values())


def _zip(term: str, shape: Sequence[int]) -> list[tuple[str, int]]:
    return list(zip(term, shape, strict=True))


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Query by key, and weights by value."""
    query, key, value = (_shape(one) for one in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrent(inputs: list[Any], outputs: list[Any]) -> int:
    """Every weight matrix once for each step and sequence (LSTM, GRU, RNN)."""
    weights = [_shape(one) for one in inputs[2].node().inputs()]
    matrices = sum(math.prod(shape) for shape in weights if len(shape) == 2)
    return math.prod(_shape(inputs[0])[:-1]) * matrices


def _bilinear(inputs: list[Any], outputs: list[Any]) -> int:
    return _elements(outputs[0]) * math.prod(_shape(inputs[2])[1:])


HEAVY: dict[str, Callable[[list[Any], list[Any]], int]] = {
    "_convolution": _convolution,
    "_convolution_mode": _plain_convolution,
    "linear": _product,
    "matmul": _product,
    "mm": _product,
    "bmm": _product,
    "mv": _product,
    "dot": _product,
    "addmm": _added_product,
    "baddbmm": _added_product,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn_tanh": _recurrent,
    "rnn_relu": _recurrent,
    "cdist": _product,
    "bilinear": _bilinear,
}


def _shape(value: Any) -> list[int]:
    """Shape of a traced tensor.

    Raises:
        ValueError: the trace does not know it.
    """
    if not value.isCompleteTensor():
        raise ValueError(f"operator input {value.debugName()}: its shape is not in the trace")
    return value.type().sizes()


def _elements(value: Any) -> int:
    """Elements of a traced tensor; 0 for what is no tensor."""
    return math.prod(value.type().sizes()) if value.isCompleteTensor() else 0
