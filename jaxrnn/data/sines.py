"""Sine waves, some of a period between 5 and 6 ms, seen at chosen times: drawn from a key (after Neil et al. 2016).

A wave has a random phase and is seen for a part of 125 ms, from 15 ms long up to all of it. One half of all waves has
its period uniform in (5, 6); those of the other half have one in (1, 5) or (6, 100), their logarithms uniform. It is
sampled at even times or at random ones: then as often as with a sample every millisecond, so that the value between two
samples says little, and their times all the more.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxrnn.typing import Array, Float, Int, Key

Sampling = Literal["regular", "high_rate", "asynchronous"]
"""A sample every millisecond, many more than that, or at random times, on average one every millisecond."""

SHORTEST, LONGEST = 15.0, 125.0
"""How long a wave is seen, in ms."""

TARGET = (5.0, 6.0)
"""The periods to be told from all others, in ms."""

PERIODS = (1.0, 100.0)
"""All periods, in ms."""


def steps(interval: float) -> int:
    """The steps that a wave has at most, with a sample every ``interval`` ms."""
    return round(LONGEST / interval)


def draw(
    key: Key[Array, ""], n: int, sampling: Sampling, interval: float = 1.0
) -> tuple[tuple[Float[Array, "n t 1"], Float[Array, "n t 1"], Int[Array, "n"]], Int[Array, "n"]]:
    """``n`` waves: ``(values (n, t, 1), times (n, t, 1) in ms, lengths (n,))``, and labels ``(n,)``, 1 for the target.

    ``t`` is `steps` of the ``interval`` between two samples (the mean one, where they are random); behind a wave's
    length both are 0. Raises ValueError for an unknown sampling.
    """
    if sampling not in ("regular", "high_rate", "asynchronous"):
        raise ValueError(f"sampling must be 'regular', 'high_rate' or 'asynchronous', not {sampling!r}")
    kind, within, others, duration, begin, phase, places = jax.random.split(key, 7)
    label = jax.random.bernoulli(kind, 0.5, (n,))
    period = jnp.where(label, jax.random.uniform(within, (n,), minval=TARGET[0], maxval=TARGET[1]), _others(others, n))
    duration = jax.random.uniform(duration, (n, 1), minval=SHORTEST, maxval=LONGEST)
    begin = jax.random.uniform(begin, (n, 1)) * (LONGEST - duration)
    phase = jax.random.uniform(phase, (n, 1), maxval=2 * jnp.pi)
    most = steps(interval)
    length = jnp.floor(duration / interval).astype(jnp.int32)
    real = jnp.arange(most) < length
    if sampling == "asynchronous":
        # sorted with what is no sample at the end
        places = jnp.sort(jnp.where(real, jax.random.uniform(places, (n, most)), jnp.inf), axis=1)
        since = jnp.where(real, places, 0) * duration
    else:
        since = interval * jnp.arange(most)
    times = jnp.where(real, begin + since, 0)
    values = jnp.where(real, jnp.sin(2 * jnp.pi * times / period[:, None] + phase), 0)
    return (values[..., None], times[..., None], length[:, 0]), label.astype(jnp.int32)


def _others(key: Key[Array, ""], n: int) -> Float[Array, "n"]:
    """Periods outside the target's, their logarithms uniform in what is left."""
    (low, high), (first, last) = jnp.log(jnp.array(TARGET)), jnp.log(jnp.array(PERIODS))
    place = jax.random.uniform(key, (n,), minval=first, maxval=last - (high - low))
    return jnp.exp(jnp.where(place < low, place, place + high - low))
