"""What a training step cannot do without, and how fast this machine does it: the floor. Not a command itself.

The floor is the larger of two times: that of the step's operations at the highest speed that the machine reaches with
one large matrix product, and that of the bytes that it must move at the speed of writing one large array over itself.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.peers import Network
from jaxrnn.cells import CELLS
from jaxrnn.models import parameter_count

NUMBER = 4
"""Bytes of a float32."""

KEPT: Mapping[str, int] = {"adam": 2, "adamw_torch": 2, "rmsprop_torch": 1}
"""How many numbers an optimiser keeps for each weight."""


class Work(NamedTuple):
    """What must be done."""

    operations: float
    """Floating-point ones, of matrix products."""
    bytes: float
    """To be moved from memory or to it."""

    def shared(self, each: float) -> "Work":
        """One of ``each`` equal parts of it."""
        return Work(self.operations / each, self.bytes / each)


class Speeds(NamedTuple):
    """How much of it a machine does in a second, at most."""

    operations: float
    bytes: float


class Floor(NamedTuple):
    """The time below which no step can be."""

    ms: float
    bound: Literal["operations", "bytes"]
    """Of which there are too many for less."""


def floor(work: Work, speeds: Speeds) -> Floor:
    """The larger of the times of operations and bytes, which may run side by side."""
    operations, moved = work.operations / speeds.operations, work.bytes / speeds.bytes
    return Floor(1e3 * max(operations, moved), "operations" if operations >= moved else "bytes")


# What must be done.


def training(network: Network, batch: int, time: float, *, inputs: float = 0.0) -> Work:
    """The work of a training step on rows of ``time`` steps, of each of which ``inputs`` bytes are read.

    Operations: a product of (m, k) and (k, n) is 2*m*n*k of them, and each of its two gradients as many again. The
    products are those of the cells' matrices at every time step, and of the head's at the last or every one. Given
    inputs need no gradient, which spares the lowest layer a third, and a product with one-hot vectors is none: weights
    are looked up.

    Bytes: the weights and what the optimiser keeps for them, each read once and written once (Adam: three arrays; the
    gradients can stay where they are made); the inputs, read once; and the states of every layer, h and for an LSTM c,
    which the forward pass writes at every time step and the backward pass reads.
    """
    lowest = 3 if network.vocabulary is not None else 0 if network.one_hot else 2
    products = 3 * network.hidden * network.outputs * (time if network.every_step else 1)
    states = 0.0
    for number, cell in enumerate(_cells(network)):
        for path, weight in jax.tree_util.tree_leaves_with_path(cell):
            if len(weight.shape) == 2:
                reads_inputs = number == 0 and "w_x" in jax.tree_util.keystr(path)
                products += (lowest if reads_inputs else 3) * math.prod(weight.shape) * time
        carry = jax.eval_shape(lambda cell: cell.initial_carry(()), cell)
        states += time * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(carry))
    kept = parameters(network) * (1 + KEPT[network.optimiser])
    return Work(2.0 * batch * products, 2 * NUMBER * (kept + batch * states) + batch * time * inputs)


def parameters(network: Network) -> int:
    """How many weights are learned."""
    outside = (network.vocabulary or 0) * network.features + (network.hidden + 1) * network.outputs
    return outside + sum(map(parameter_count, _cells(network)))


def _cells(network: Network) -> list[Any]:
    """The cells of all layers, from the lowest up, as shapes."""

    def make(reads: int) -> Any:
        return nnx.eval_shape(lambda: CELLS[network.cell](reads, network.hidden, rngs=nnx.Rngs(0)))

    return [make(network.hidden if layer else network.features) for layer in range(network.layers)]


# How fast the machine is.


_product = jax.jit(jnp.matmul)
_negated = jax.jit(jnp.negative, donate_argnums=0)


def speeds(size: int, devices: Sequence[jax.Device], tries: int = 3) -> Speeds:
    """The best of so many tries, of square float32 products of ``size`` and of an array of 16 such matrices.

    CPU devices share all cores: one uses them.
    """
    used = devices[:1] if devices[0].platform == "cpu" else devices
    matrices = [jax.device_put(np.ones((size, size), np.float32), device) for device in used]
    arrays = [jax.device_put(np.ones((16, size, size), np.float32), device) for device in used]

    def products() -> None:
        jax.block_until_ready([_product(matrix, matrix) for matrix in matrices])

    def over_itself() -> None:
        # where the result is an array of its own, most of the time goes into getting the memory
        nonlocal arrays
        arrays = jax.block_until_ready([_negated(array) for array in arrays])

    return Speeds(
        len(used) * 2 * size**3 / _least(products, tries),
        len(used) * 2 * 16 * size**2 * NUMBER / _least(over_itself, tries),
    )


def _least(work: Callable[[], None], tries: int) -> float:
    """The seconds of the fastest try, after one that is not counted."""
    work()
    taken = []
    for _ in range(tries):
        clock = time.perf_counter()
        work()
        taken.append(time.perf_counter() - clock)
    return min(taken)
