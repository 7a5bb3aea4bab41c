"""Whole models: layers with a head, and the summary of what they are made of."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import CELLS
from jaxrnn.layers import Bidirectional, Recurrent, Stack
from jaxrnn.typing import Array, Float, Init


def linear(in_features: int, out_features: int, *, init: Init = "default", rngs: nnx.Rngs) -> nnx.Linear:
    """``y = x W + b``; ``init="pytorch"`` draws W and b from U(-1/sqrt(d), 1/sqrt(d)), as `torch.nn.Linear` does."""
    if init not in ("default", "pytorch"):
        raise ValueError(f"init must be 'default' or 'pytorch', not {init!r}")
    dtype = jnp.result_type(float)
    if init == "default":
        return nnx.Linear(in_features, out_features, param_dtype=dtype, rngs=rngs)
    bound = in_features**-0.5

    def uniform(key, shape, dtype, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return nnx.Linear(in_features, out_features, param_dtype=dtype, kernel_init=uniform, bias_init=uniform, rngs=rngs)


class Classifier(nnx.Module):
    """Many to one: layers read a sequence, and a linear head reads their last output.

        logits = y_T W + b

    ``y_T`` is the output at a row's last real step; of a bidirectional layer, what each direction says at its end.
    The class of a row is the place of its largest logit.
    """

    def __init__(self, layers: Stack, classes: int, *, init: Init = "default", rngs: nnx.Rngs):
        self.layers = layers
        self.head = linear(layers.features, classes, init=init, rngs=rngs)

    def __call__(self, xs: Any, **options: Any) -> Float[Array, "*b k"]:
        """Logits ``(*b, k)`` of ``xs (*b, t, d)``; the options are those of `jaxrnn.layers.Stack`."""
        carry, _ = self.layers(xs, **options)
        return self.head(self.layers.output(carry))


def parameter_count(tree: Any) -> int:
    """The number of trainable numbers in a module (or any pytree of arrays)."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def parameter_table(in_features: int, features: int) -> list[dict[str, int | str]]:
    """The parameters of every registered cell by bias convention: rows ``{"cell", "torch", "single", "none"}``."""

    def count(make, bias):
        return parameter_count(nnx.eval_shape(lambda: make(in_features, features, bias=bias, rngs=nnx.Rngs(0))))

    return [
        {"cell": name, **{bias: count(make, bias) for bias in ("torch", "single", "none")}}
        for name, make in CELLS.items()
    ]


class Row(NamedTuple):
    """One layer in a summary."""

    layer: str
    input: str
    output: str
    activation: str
    parameters: int


def summary(model: Classifier, shape: Sequence[int]) -> list[Row]:
    """The layers of a model for inputs of ``shape`` ``(t, d)``, from the input up: shapes, activations, parameters.

    Shapes are those of one example; a recurrent layer names its hidden-to-hidden map too.
    """
    time, _ = shape
    rows = []
    for layer in model.layers.layers:
        rows.append(
            Row(
                _layer_name(layer),
                f"{time} x {layer.in_features}",
                f"{time} x {layer.features}",
                getattr(layer.cell if isinstance(layer, Recurrent) else layer.forward, "activation", ""),
                parameter_count(layer),
            )
        )
    head = model.head
    rows.append(
        Row(
            "Linear (last output)",
            str(head.in_features),
            str(head.out_features),
            "identity (softmax in the loss)",
            parameter_count(head),
        )
    )
    return rows


def _layer_name(layer: Recurrent | Bidirectional) -> str:
    if isinstance(layer, Bidirectional):
        return f"Bidirectional {type(layer.forward).__name__} ({layer.merge})"
    d, h = layer.in_features, layer.features
    return f"{type(layer.cell).__name__} ({d} -> {h}, {h} -> {h})"
