"""What trained models say about whole data sets: every model and every example, in batches, on all devices."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def over(
    function: Callable[[Any, Any], Any], models: Any, xs: Any, *, devices: int | None = None, batch: int = 512
) -> Any:
    """``function(model, x)`` for every model and every example: arrays ``(r, n, ...)`` on the host.

    Args:
        function: pure, of one model and one example.
        models: a pytree with a leading run axis ``(r, ...)``.
        xs: ``(n, ...)``, or a pytree of such arrays, as stored (bytes stay bytes).
        devices: how many to spread the examples over at most; all where not given.
        batch: how many examples a device works at once.
    """
    n = jax.tree.leaves(xs)[0].shape[0]
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("example",), axis_types=(AxisType.Auto,))
    parts = mesh.devices.size
    # what pads the last share repeats the first example, and is cut off again
    places = np.concatenate([np.arange(n), np.zeros(-n % parts, int)])
    everywhere, shared = PartitionSpec(), PartitionSpec("example")

    def share(models, xs):
        def one(model):
            return jax.lax.map(lambda x: function(model, x), xs, batch_size=batch)

        return jax.vmap(one)(models)

    program = jax.jit(
        jax.shard_map(
            share, mesh=mesh, in_specs=(everywhere, shared), out_specs=PartitionSpec(None, "example"), check_vma=False
        )
    )
    models = jax.device_put(models, NamedSharding(mesh, everywhere))
    xs = jax.device_put(jax.tree.map(lambda a: np.asarray(a)[places], xs), NamedSharding(mesh, shared))
    return jax.tree.map(lambda ys: ys[:, :n], jax.device_get(program(models, xs)))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The fraction of examples whose largest logit is their label: ``(r, n, ..., k)`` and ``(n,)`` to ``(r, ...)``."""
    labels = labels.reshape(1, -1, *[1] * (logits.ndim - 3))
    return (logits.argmax(-1) == labels).mean(1)
