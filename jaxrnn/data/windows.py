"""Numbers at random times, of which only those count that come while a hidden window is open: drawn from a key.

The window opens at `START` and again every `PERIOD`, for the first half of each period. The target is a fading mean of
what came through:

    y_t = (y_{t-1} + x_t) / 2    where the window is open,
          y_{t-1}                where it is closed,           y_0 = 0
"""

import jax
import jax.numpy as jnp

from jaxrnn.typing import Array, Float, Key

PERIOD, START = 8.0, 2.5
"""The window's, in units of time."""

STEPS, SPAN = 60, 40.0
"""How many numbers a sequence has, and the time in which they come."""


def draw(
    key: Key[Array, ""], n: int
) -> tuple[tuple[Float[Array, "n t 1"], Float[Array, "n t 1"]], Float[Array, "n t 1"]]:
    """``n`` sequences: ``(x, times)``, normal numbers and when they come, and targets, all ``(n, STEPS, 1)``."""
    of_times, of_numbers = jax.random.split(key)
    times = jnp.sort(jax.random.uniform(of_times, (n, STEPS, 1), maxval=SPAN), axis=1)
    x = jax.random.normal(of_numbers, (n, STEPS, 1))

    def step(y, inputs):
        x, opened = inputs
        y = jnp.where(opened, (y + x) / 2, y)
        return y, y

    inputs = x.swapaxes(0, 1), opened(times).swapaxes(0, 1)
    return (x, times), jax.lax.scan(step, jnp.zeros((n, 1)), inputs)[1].swapaxes(0, 1)


def opened(times: Float[Array, "*b"]) -> Array:
    """Whether the window is open."""
    return jnp.mod(times - START, PERIOD) < PERIOD / 2
