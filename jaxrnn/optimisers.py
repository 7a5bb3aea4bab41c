"""Optimisers by name, with PyTorch's defaults where optax's differ, and learning-rate schedules.

Everything here is an `optax.GradientTransformation` or makes one; learning rates and the like may be traced values.
"""

from collections.abc import Callable
from math import ceil
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxrnn.typing import Array, ArrayLike

Rate = ArrayLike | Callable[[ArrayLike], Array]
"""A learning rate, or a schedule: the rate as a function of the number of updates made."""


def global_norm(tree: Any) -> Array:
    """The Euclidean norm of all numbers in a tree, also where their squares are beyond the largest float."""
    norm = optax.tree.norm(tree)

    def scaled(tree):
        largest = optax.tree.norm(tree, ord="inf")
        return largest * optax.tree.norm(jax.tree.map(lambda leaf: leaf / largest, tree))

    return jax.lax.cond(jnp.isfinite(norm), lambda tree: norm, scaled, tree)


def clipped_to(limit: ArrayLike) -> optax.GradientTransformation:
    """Gradients with a larger global norm scaled down to ``limit``: `optax.clip_by_global_norm`, but of gradients whose
    squares are beyond the largest float it makes zeros."""

    def update(updates, state, params=None):
        norm = global_norm(updates)
        scaled = jax.tree.map(lambda leaf: ((leaf / norm) * limit).astype(leaf.dtype), updates)
        return jax.tree.map(lambda leaf, less: jnp.where(norm < limit, leaf, less), updates, scaled), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def rmsprop_torch(learning_rate: Rate = 1e-2, momentum: float | None = None) -> optax.GradientTransformation:
    """RMSProp as `torch.optim.RMSprop`: decay 0.99, and epsilon outside the square root.

        v_t = 0.99 v_{t-1} + 0.01 g_t^2,    p_t = p_{t-1} - lr g_t / (sqrt(v_t) + 1e-8)

    `optax.rmsprop` has decay 0.9 and epsilon inside: its first step is 3 times smaller.
    """
    return optax.rmsprop(learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=momentum)


def adamw_torch(learning_rate: Rate = 1e-3, weight_decay: ArrayLike = 1e-2) -> optax.GradientTransformation:
    """AdamW as `torch.optim.AdamW`: weight decay 0.01, where `optax.adamw` has 0.0001."""
    return optax.adamw(learning_rate, weight_decay=weight_decay)


OptimiserName = Literal["adam", "adamw_torch", "rmsprop_torch", "sgd", "momentum"]

OPTIMISERS: dict[str, Callable[[Rate], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw_torch": adamw_torch,
    "rmsprop_torch": rmsprop_torch,
    "sgd": optax.sgd,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
}
"""Optimisers by the name they have on the command line, as functions of the learning rate alone."""

ScheduleName = Literal["constant", "step", "cosine"]

SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "step": lambda steps: optax.piecewise_constant_schedule(1.0, {ceil(steps / 2): 0.1, ceil(steps * 3 / 4): 0.1}),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, max(steps, 1)),
}
"""The shape of a learning rate over ``steps`` updates, beginning at 1.

``step``: a tenth from half of the updates on, a hundredth from three quarters on. ``cosine``: down to 0 along half a
wave.
"""


def scheduled(learning_rate: ArrayLike, schedule: str, steps: int, warmup: int = 0) -> Rate:
    """``learning_rate`` (may be traced) times the named shape over ``steps`` updates.

    The first ``warmup`` updates climb to it in a straight line from 0 (update i has i/warmup of it); the shape then
    takes the rest.

    Raises:
        ValueError: an unknown schedule, or a warm-up that leaves no update.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}")
    if not 0 <= warmup < max(steps, 1):
        raise ValueError(f"warm-up must be at least 0 and shorter than the run's {steps} updates, not {warmup}")
    shape = SCHEDULES[schedule](steps - warmup)
    if warmup:
        shape = optax.join_schedules([optax.linear_schedule(0.0, 1.0, warmup), shape], [warmup])
    return lambda count: learning_rate * shape(count)


def decayed(learning_rate: ArrayLike, factor: float, every: int) -> Rate:
    """``learning_rate`` (may be traced), lowered after each ``every`` updates; update i, counted from 0, has

        learning_rate * factor ** floor(i / every)

    Raises:
        ValueError: a factor outside (0, 1], or ``every`` below 1.
    """
    if not 0 < factor <= 1 or every < 1:
        raise ValueError(f"the rate is to be lowered by a factor above 0 and at most 1, not {factor}, every {every}")
    return lambda count: jnp.asarray(learning_rate) * factor ** (jnp.asarray(count) // every)
