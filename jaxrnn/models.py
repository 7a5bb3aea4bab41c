"""Whole models: layers with a head, baselines without recurrence, and the summary of what they are made of."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import CELLS, Fixed
from jaxrnn.layers import Bidirectional, Recurrent, Stack, dropped
from jaxrnn.typing import Array, ArrayLike, Bool, Carry, Float, Init, Int, Key


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


class Row(NamedTuple):
    """One layer in a summary: shapes of one example, what activates it, and how many numbers are trained in it."""

    layer: str
    input: str
    output: str
    activation: str
    parameters: int


LOGITS = "identity (softmax in the loss)"
"""What a summary says of the activation of a last layer that gives logits."""

LOGIT = "identity (sigmoid in the loss)"
"""What it says where there is but one."""


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

    def at_every_step(self, xs: Any, **options: Any) -> Float[Array, "*b t k"]:
        """Logits ``(*b, t, k)``: what the head would say if the row ended after step 1, 2, ... t.

        Raises:
            ValueError: a bidirectional layer, whose outputs have seen the rest of the row.
        """
        if any(isinstance(layer, Bidirectional) for layer in self.layers.layers):
            raise ValueError("a bidirectional layer has read the whole row at every step: there is no reading in part")
        _, ys = self.layers(xs, **options)
        return self.head(ys)

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """The layers for inputs of ``shape`` ``(t, d)``, from the input up; a recurrent one with its hidden-to-hidden
        map."""
        time, _ = shape
        head = self.head
        sizes = str(head.in_features), str(head.out_features)
        return [*_rows(self.layers, time), Row("Linear (last output)", *sizes, LOGITS, parameter_count(head))]


Pool = Literal["last", "mean", "max"]
"""What a head reads of a row's outputs: those of the last real step, or the mean or the largest over all real steps."""


class TextClassifier(nnx.Module):
    """Many to one over words: each has a vector, layers read these, and a linear head reads what they come to.

        x_t = E[id_t],    logits = pool(y_1, ..., y_T) W + b

    Parameters: ``embedding (v, d)``, the layers, and ``head``; E is drawn from N(0, 1) as `torch.nn.Embedding` does
    (``init="pytorch"``), else from N(0, 1/d). Steps whose id is ``padding`` are not read, on whatever side they are;
    where there is no such id, all steps are.
    """

    def __init__(
        self,
        vocabulary: int,
        layers: Stack,
        outputs: int,
        *,
        pool: Pool = "last",
        padding: int | None = None,
        init: Init = "default",
        rngs: nnx.Rngs,
    ):
        self.embedding = embedding(vocabulary, layers.in_features, init=init, rngs=rngs)
        self.layers = layers
        self.head = linear(layers.features, outputs, init=init, rngs=rngs)
        self.pool, self.padding = pool, padding

    def __call__(self, ids: Int[Array, "*b t"], **options: Any) -> Float[Array, "*b k"]:
        """Logits ``(*b, k)`` of ``ids (*b, t)``; the options are those of `read`."""
        return self.read(ids, **options)[1]

    def read(
        self, ids: Int[Array, "*b t"], *, key: Key[Array, ""] | None = None, dropout: ArrayLike = 0.0, **options: Any
    ) -> tuple[Carry, Float[Array, "*b k"]]:
        """``(carry, logits)``: start from another row's ``carry``.

        Where a ``key`` is given, each number of the words' vectors, of the outputs between layers and of what the head
        reads is dropped with probability ``dropout``. The other options are those of `jaxrnn.layers.Stack`.
        """
        keys = (None, None, None) if key is None else jax.random.split(key, 3)
        mask = None if self.padding is None else ids != self.padding
        xs = _thinned(keys[0], self.embedding[...][ids], dropout)
        carry, ys = self.layers(xs, mask=mask, key=keys[1], dropout=dropout, **options)
        pooled = self.layers.output(carry) if self.pool == "last" else _POOLS[self.pool](ys, mask)
        return carry, self.head(_thinned(keys[2], pooled, dropout))

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """The carry of rows of which nothing is read."""
        return self.layers.initial_carry(batch_shape)

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """The layers for rows of ``shape`` ``(t,)``, from the words up."""
        (time,) = shape
        head = self.head
        sizes = str(head.in_features), str(head.out_features)
        what = {"last": "last output", "mean": "mean of the outputs", "max": "largest outputs"}[self.pool]
        return [
            _embedding_row(self.embedding, time),
            *_rows(self.layers, time),
            Row(f"Linear ({what})", *sizes, _of_logits(head), parameter_count(head)),
        ]


def embedding(vocabulary: int, features: int, *, init: Init = "default", rngs: nnx.Rngs) -> nnx.Param:
    """A vector for each id, ``(v, d)``, drawn as `TextClassifier` says."""
    if init not in ("default", "pytorch"):
        raise ValueError(f"init must be 'default' or 'pytorch', not {init!r}")
    drawn = jax.random.normal(rngs.params(), (vocabulary, features))
    return nnx.Param(drawn if init == "pytorch" else drawn * features**-0.5)


def _thinned(key: Key[Array, ""] | None, xs: Float[Array, "*b d"], rate: ArrayLike) -> Float[Array, "*b d"]:
    """`dropped`, where there is a key and the rate is not 0: then nothing needs to be drawn."""
    if key is None:
        return xs
    return jax.lax.cond(jnp.asarray(rate) > 0, lambda xs: dropped(key, xs, rate), lambda xs: xs, xs)


def _mean(ys: Float[Array, "*b t h"], mask: Bool[Array, "*b t"] | None) -> Float[Array, "*b h"]:
    if mask is None:
        return ys.mean(-2)
    return ys.sum(-2) / jnp.maximum(mask.sum(-1, keepdims=True), 1)  # masked outputs are zero


def _largest(ys: Float[Array, "*b t h"], mask: Bool[Array, "*b t"] | None) -> Float[Array, "*b h"]:
    if mask is None:
        return ys.max(-2)
    return jnp.where(mask.any(-1, keepdims=True), jnp.where(mask[..., None], ys, -jnp.inf).max(-2), 0)


_POOLS: dict[str, Callable] = {"mean": _mean, "max": _largest}


Reading = Literal["ids", "embed-flat", "embed-mean"]
"""What a network without recurrence makes of a row of ids; see `TextMLP`."""


class TextMLP(nnx.Module):
    """No recurrence: an `MLP` that sees all words of a row at once.

        x = (id_1, ..., id_T), as real numbers    ``reading="ids"``
            (E[id_1], ..., E[id_T])               ``reading="embed-flat"``
            mean of E[id_t] over the words        ``reading="embed-mean"``; the id ``padding`` is no word

    Parameters: ``embedding (v, d)``, drawn as `TextClassifier`'s (None where ids are read), and ``mlp``.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        time: int,
        hidden: int,
        outputs: int,
        *,
        reading: Reading,
        padding: int,
        init: Init = "default",
        rngs: nnx.Rngs,
    ):
        self.embedding = None if reading == "ids" else embedding(vocabulary, features, init=init, rngs=rngs)
        self.mlp = MLP(mlp_inputs(reading, features, time), hidden, outputs, init=init, rngs=rngs)
        self.reading, self.padding = reading, padding

    def __call__(self, ids: Int[Array, "*b t"], **options: Any) -> Float[Array, "*b k"]:
        """Logits ``(*b, k)`` of ``ids (*b, t)``; the options are those of `MLP`."""
        if self.embedding is None:
            return self.mlp(ids[..., None].astype(self.mlp.head.kernel.dtype), **options)
        xs = self.embedding[...][ids]
        if self.reading == "embed-mean":
            mask = ids != self.padding
            xs = _mean(jnp.where(mask[..., None], xs, 0), mask)[..., None, :]
        return self.mlp(xs, **options)

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """The layers for rows of ``shape`` ``(t,)``, as `TextClassifier.summary` has them."""
        (time,) = shape
        if self.embedding is None:
            return self.mlp.summary((time, 1))
        within = self.mlp.summary((1 if self.reading == "embed-mean" else time, self.embedding.shape[1]))
        return [_embedding_row(self.embedding, time), *within]


def mlp_inputs(reading: Reading, features: int, time: int) -> int:
    """How many numbers a `TextMLP` makes of rows of ``time`` ids, where ``features`` stand for a word."""
    return {"ids": time, "embed-flat": features * time, "embed-mean": features}[reading]


def _embedding_row(embedding: nnx.Param, time: int) -> Row:
    vocabulary, features = embedding.shape
    return Row("Embedding", f"{time} ids of {vocabulary:,}", f"{time} x {features}", "", parameter_count(embedding))


def _of_logits(head: nnx.Linear) -> str:
    """What a summary says of the activation of a last layer: a single logit is that of yes."""
    return LOGITS if head.out_features > 1 else LOGIT


class Regressor(nnx.Module):
    """Many to many: layers read a sequence, and a linear head reads their output at every step.

        y_t = h_t V + c

    ``h_t`` is the topmost layer's output at step t; of a bidirectional layer, it has seen the rest of the row.
    """

    def __init__(self, layers: Stack, outputs: int, *, init: Init = "default", rngs: nnx.Rngs):
        self.layers = layers
        self.head = linear(layers.features, outputs, init=init, rngs=rngs)

    def __call__(self, xs: Any, **options: Any) -> Float[Array, "*b t k"]:
        """Outputs ``(*b, t, k)`` of ``xs (*b, t, d)``; the options are those of `jaxrnn.layers.Stack`."""
        _, hs = self.layers(xs, **options)
        return self.head(hs)

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """The layers for inputs of ``shape`` ``(t, d)``, as `Classifier.summary` has them."""
        time, _ = shape
        head = self.head
        sizes = f"{time} x {head.in_features}", f"{time} x {head.out_features}"
        return [*_rows(self.layers, time), Row("Linear (every step)", *sizes, "identity", parameter_count(head))]


class LanguageModel(nnx.Module):
    """What comes next: layers read ids of a vocabulary, and a linear head says at every step how likely each is next.

        x_t = one-hot of the id,    logits_t = h_t V + c

    ``h_t`` is the topmost layer's output at step t. Raises ValueError for layers that do not read the vocabulary one
    way.
    """

    def __init__(self, layers: Stack, *, init: Init = "default", rngs: nnx.Rngs):
        if any(isinstance(layer, Bidirectional) for layer in layers.layers):
            raise ValueError("what comes next is not known: a language model's layers read in one direction")
        self.layers = layers
        self.head = linear(layers.features, layers.in_features, init=init, rngs=rngs)

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return self.layers.in_features

    def __call__(self, ids: Int[Array, "*b t"], **options: Any) -> Float[Array, "*b t v"]:
        """Logits ``(*b, t, v)`` of what follows each of ``ids (*b, t)``; the options are those of `read`."""
        return self.read(ids, **options)[1]

    def read(self, ids: Int[Array, "*b t"], **options: Any) -> tuple[Carry, Float[Array, "*b t v"]]:
        """``(carry, logits)``; the options are those of `jaxrnn.layers.Stack`: start from another text's ``carry``."""
        carry, hs = self.layers(jnp.asarray(ids)[..., None], **options)
        return carry, self.head(hs)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """The carry of rows of which nothing is read."""
        return self.layers.initial_carry(batch_shape)

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """The layers for texts of ``shape`` ``(t,)``, as `Classifier.summary` has them."""
        (time,) = shape
        head = self.head
        sizes = f"{time} x {head.in_features}", f"{time} x {head.out_features}"
        return [*_rows(self.layers, time), Row("Linear (every step)", *sizes, LOGITS, parameter_count(head))]


class MLP(nnx.Module):
    """No recurrence: one hidden layer that sees all steps of a sequence at once, side by side (a shallow FNN).

    logits = tanh(x W_1 + b_1) W_2 + b_2,    x = (x_1, ..., x_T)
    """

    def __init__(self, in_features: int, hidden: int, classes: int, *, init: Init = "default", rngs: nnx.Rngs):
        self.hidden = linear(in_features, hidden, init=init, rngs=rngs)
        self.head = linear(hidden, classes, init=init, rngs=rngs)

    def __call__(
        self, xs: Float[Array, "*b t d"], *, key: Key[Array, ""] | None = None, dropout: ArrayLike = 0.0
    ) -> Float[Array, "*b k"]:
        """Logits ``(*b, k)`` of ``xs (*b, t, d)``, ``t * d`` its input features.

        Where a ``key`` is given, each hidden unit is dropped with probability ``dropout``.
        """
        hidden = jnp.tanh(self.hidden(xs.reshape(*xs.shape[:-2], -1)))
        return self.head(hidden if key is None else dropped(key, hidden, dropout))

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """Both layers for inputs of ``shape`` ``(t, d)``."""
        time, features = shape
        inner, head = self.hidden, self.head
        width = str(inner.out_features)
        return [
            Row("Linear (all steps at once)", f"{time} x {features}", width, "tanh", parameter_count(inner)),
            Row("Linear", width, str(head.out_features), _of_logits(head), parameter_count(head)),
        ]


def hidden_units_for(parameters: int, in_features: int, classes: int) -> int:
    """The hidden units with which an `MLP` comes nearest to so many parameters: H (d + 1 + k) + k of them."""
    return max(1, round((parameters - classes) / (in_features + 1 + classes)))


def parameter_count(tree: Any) -> int:
    """The number of trainable numbers in a module (or any pytree of arrays): of all but what is `Fixed`."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Fixed))
    return sum(int(np.prod(node.shape)) for node in nodes if not isinstance(node, Fixed))


def parameter_table(in_features: int, features: int) -> list[dict[str, int | str]]:
    """The parameters of every registered cell by bias convention: rows ``{"cell", "torch", "single", "none"}``."""

    def count(make, bias):
        return parameter_count(nnx.eval_shape(lambda: make(in_features, features, bias=bias, rngs=nnx.Rngs(0))))

    return [
        {"cell": name, **{bias: count(make, bias) for bias in ("torch", "single", "none")}}
        for name, make in CELLS.items()
    ]


def _rows(layers: Stack, time: int) -> list[Row]:
    """The recurrent layers in a summary, for sequences of so many steps."""
    return [
        Row(
            _layer_name(layer),
            f"{time} x {layer.in_features}",
            f"{time} x {layer.features}",
            getattr(layer.cell if isinstance(layer, Recurrent) else layer.forward, "activation", ""),
            parameter_count(layer),
        )
        for layer in layers.layers
    ]


def _layer_name(layer: Recurrent | Bidirectional) -> str:
    if isinstance(layer, Bidirectional):
        return f"Bidirectional {_cell_name(layer.forward)} ({layer.merge})"
    d, h = layer.in_features, layer.features
    return f"{_cell_name(layer.cell)} ({d} -> {h}, {h} -> {h})"


def _cell_name(cell: Any) -> str:
    """The class of a cell, of a wrapped one with that of the cell within: ``Zoneout(GRUCell)``."""
    name, within = type(cell).__name__, getattr(cell, "cell", None)
    return name if within is None else f"{name}({_cell_name(within)})"
