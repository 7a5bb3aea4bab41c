"""Optimisers on an ill-conditioned quadratic bowl, with exact trajectories.

    f(x) = 1/2 x^T A x,    A = R diag(lambda_1, ..., lambda_n) R^T,    condition number k = lambda_max / lambda_min

Near a minimum every smooth loss is such a bowl, and here all can be worked out: gradient descent and momentum have
closed forms, best settings, rates of convergence and limits of stability. RMSProp (Tieleman and Hinton 2012) and Adam
(Kingma and Ba 2015) have none; their trajectories are followed. They divide coordinate by coordinate, so to them, and
to them alone, it matters how the bowl lies to the coordinates.

Everything works on traced values, in the precision of what it is given.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrnn.typing import Array, ArrayLike, Float, Int


class Bowl(NamedTuple):
    """``f(x) = 1/2 x^T R diag(eigenvalues) R^T x``, whose minimum is 0, at 0.

    ``eigenvalues`` ``(n,)`` are the curvatures along the bowl's own axes, all positive, in any order; that they are
    positive is not looked at. ``angle``, in radians and for two dimensions alone, turns the bowl anticlockwise:

        R = [[cos angle, -sin angle], [sin angle, cos angle]]

    Without one R is the identity, exactly.
    """

    eigenvalues: Float[ArrayLike, "n"]
    angle: Float[ArrayLike, ""] | None = None


class Settings(NamedTuple):
    """A learning rate and a momentum, and the ``rate`` at which errors shrink with them in the long run, per step."""

    learning_rate: Float[Array, ""]
    momentum: Float[Array, ""]
    rate: Float[Array, ""]


# --- the bowl ---------------------------------------------------------------------------------------------------------


def from_axes(bowl: Bowl, z: Float[ArrayLike, "*b n"]) -> Float[Array, "*b n"]:
    """The point with the coordinates ``z`` along the bowl's own axes: ``x = R z``.

    Raises:
        ValueError: eigenvalues that are no vector, an angle of a bowl that has not two dimensions, or points of
            another number of dimensions than the bowl's.
    """
    point, turn = _point(bowl, z), _turn(bowl)
    return point if turn is None else jnp.matmul(point, turn.T, precision="highest")


def to_axes(bowl: Bowl, x: Float[ArrayLike, "*b n"]) -> Float[Array, "*b n"]:
    """The coordinates of a point along the bowl's own axes: ``z = R^T x``.

    Raises:
        ValueError: as `from_axes`.
    """
    point, turn = _point(bowl, x), _turn(bowl)
    return point if turn is None else jnp.matmul(point, turn, precision="highest")


def value(bowl: Bowl, x: Float[ArrayLike, "*b n"]) -> Float[Array, "*b"]:
    """``f(x) = 1/2 sum_i lambda_i z_i^2`` with ``z = R^T x``.

    Raises:
        ValueError: as `from_axes`.
    """
    return jnp.sum(jnp.asarray(bowl.eigenvalues) * jnp.square(to_axes(bowl, x)), axis=-1) / 2


def gradient(bowl: Bowl, x: Float[ArrayLike, "*b n"]) -> Float[Array, "*b n"]:
    """``A x = R diag(lambda) R^T x``.

    Raises:
        ValueError: as `from_axes`.
    """
    return from_axes(bowl, jnp.asarray(bowl.eigenvalues) * to_axes(bowl, x))


def condition_number(bowl: Bowl) -> Float[Array, ""]:
    """``k = lambda_max / lambda_min``: how much steeper the bowl is where it is steepest than where it is flattest."""
    low, high = _extremes(bowl)
    return high / low


def _extremes(bowl):
    eigenvalues = jnp.asarray(bowl.eigenvalues)
    return jnp.min(eigenvalues), jnp.max(eigenvalues)


def _turn(bowl):
    if bowl.angle is None:
        return None
    cos, sin = jnp.cos(bowl.angle), jnp.sin(bowl.angle)
    return jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])


def _point(bowl: Bowl, x: ArrayLike) -> Array:
    shape = jnp.asarray(bowl.eigenvalues).shape
    if len(shape) != 1 or shape[0] < 1:
        raise ValueError(f"eigenvalues must be a vector of at least one, not of the shape {shape}")
    if bowl.angle is not None and (shape != (2,) or jnp.shape(bowl.angle) != ()):
        raise ValueError(f"an angle turns a bowl of two dimensions, and is one number: not {shape[0]} dimensions")
    point = jnp.asarray(x)
    if point.shape[-1:] != shape:
        raise ValueError(f"points of this bowl have {shape[0]} coordinates, not the shape {point.shape}")
    return point


# --- trajectories -----------------------------------------------------------------------------------------------------


def trajectory(
    optimiser: optax.GradientTransformation, bowl: Bowl, x0: Float[ArrayLike, "n"], steps: int
) -> Float[Array, "t n"]:
    """Where an optimiser goes from ``x0`` with exact gradients: ``x_0, x_1, ..., x_steps``, ``(steps + 1, n)``.

    One scan; not compiled here, so that callers compile it with what they do around it.

    Raises:
        ValueError: fewer than 0 steps, an ``x0`` that is no single point, or what `from_axes` refuses.
    """
    start = _point(bowl, x0)
    if start.ndim != 1:
        raise ValueError(f"a trajectory starts from one point, not from the shape {start.shape}")
    if steps < 0:
        raise ValueError(f"a trajectory has at least 0 steps, not {steps}")
    start = start.astype(jnp.result_type(gradient(bowl, start), float))  # so that whole numbers can move by less than 1

    def step(state, _):
        x, memory = state
        updates, memory = optimiser.update(gradient(bowl, x), memory, x)
        x = optax.apply_updates(x, updates)
        return (x, memory), x

    _, xs = jax.lax.scan(step, (start, optimiser.init(start)), length=steps)
    return jnp.concatenate([start[None], xs])


def steps_to_reach(
    values: Float[ArrayLike, "*b t"], fraction: Float[ArrayLike, ""], *, stay: bool = False
) -> Int[Array, "*b"]:
    """The first step ``t`` at which ``f(x_t) <= fraction f(x_0)``; -1 where there is none.

    ``values`` are ``f(x_0), f(x_1), ...`` of one trajectory or of several. With ``stay`` it is the first step from
    which on all values are that small, as far as they go: momentum, RMSProp and Adam may pass the minimum and leave it.

    Raises:
        ValueError: values without a step.
    """
    heights = jnp.asarray(values)
    if heights.ndim < 1 or heights.shape[-1] < 1:
        raise ValueError(f"values have a step each along their last axis, not the shape {heights.shape}")
    small = heights <= fraction * heights[..., :1]
    if stay:
        small = jnp.flip(jax.lax.cummin(jnp.flip(small, -1).astype(int), axis=small.ndim - 1), -1).astype(bool)
    return jnp.where(jnp.any(small, axis=-1), jnp.argmax(small, axis=-1), -1)


# --- closed forms -----------------------------------------------------------------------------------------------------


def descent(
    bowl: Bowl, learning_rate: Float[ArrayLike, ""], x0: Float[ArrayLike, "n"], t: Int[ArrayLike, "*t"]
) -> Float[Array, "*t n"]:
    """Gradient descent in closed form: where it is after ``t`` steps, any whole numbers from 0 on, ``(*t, n)``.

        x_{t+1} = x_t - eta A x_t    =>    x_t = (I - eta A)^t x_0 = R diag((1 - eta lambda_i)^t) R^T x_0

    Raises:
        ValueError: as `from_axes`.
    """
    z0 = to_axes(bowl, x0)
    factors = 1 - learning_rate * jnp.asarray(bowl.eigenvalues)
    return from_axes(bowl, factors ** jnp.asarray(t)[..., None] * z0)


def heavy_ball(
    bowl: Bowl,
    learning_rate: Float[ArrayLike, ""],
    momentum: Float[ArrayLike, ""],
    x0: Float[ArrayLike, "n"],
    t: Int[ArrayLike, "*t"],
) -> Float[Array, "*t n"]:
    """Momentum from rest in closed form: where it is after ``t`` steps, any whole numbers from 0 on, ``(*t, n)``.

        v_{t+1} = mu v_t + A x_t,    x_{t+1} = x_t - eta v_{t+1},    v_0 = 0

    (Polyak 1964, his heavy ball; `optax.sgd` with ``momentum=mu >= 0``). Along each of the bowl's own axes, of
    curvature lambda,

        z_{t+2} = p z_{t+1} - mu z_t,    p = 1 + mu - eta lambda,    z_1 = (1 - eta lambda) z_0

    with roots r and s of ``r^2 - p r + mu = 0``, so that

        z_t = (S_t - mu S_{t-1}) z_0,    S_t = (r^{t+1} - s^{t+1}) / (r - s)

        p^2 < 4 mu (complex roots)    S_t = sqrt(mu)^t sin((t+1) theta) / sin theta,    cos theta = p / (2 sqrt(mu))
        p^2 = 4 mu (a double root)    S_t = (t+1) (p/2)^t
        p^2 > 4 mu (real roots)       S_t = r^t (1 - q^{t+1}) / (1 - q),    q = s/r = mu / r^2,    |r| > |s|

    The closed form and not powers of the 2x2 matrix: it is an answer of another kind than the recurrence that it is
    held against, of any step at the cost of one. In these three shapes nothing cancels near the double root either,
    where the best settings (`best_heavy_ball`) put both the flattest and the steepest axis.

    Raises:
        ValueError: as `from_axes`.
    """
    z0, t = to_axes(bowl, x0), jnp.asarray(t)[..., None]
    p = 1 + momentum - learning_rate * jnp.asarray(bowl.eigenvalues)
    return from_axes(bowl, (_sums(p, momentum, t) - momentum * _sums(p, momentum, t - 1)) * z0)


def _sums(p, momentum, t):
    """``S_t`` of `heavy_ball`, of ``t >= -1``; ``S_-1 = 0``."""
    middle = jnp.sqrt(momentum)
    gap = (jnp.abs(p) - 2 * middle) * (jnp.abs(p) + 2 * middle)  # p^2 - 4 mu, to full precision where that is small
    half = jnp.sqrt(jnp.abs(gap))
    power = jnp.maximum(t, 0)  # S_-1 is 0 by its other factor, whatever a root of 0 to the power -1 would be

    # p < 0 is brought to p > 0 by S_t(-p) = (-1)^t S_t(p): a theta near pi would lose the digits of pi - theta
    sign = jnp.where(p < 0, -1, 1) ** power
    theta = jnp.arctan2(half, jnp.abs(p))
    turning = middle**power * jnp.sin((t + 1) * theta) / jnp.sin(jnp.where(gap < 0, theta, 1))

    root = (jnp.abs(p) + half) / 2
    log_q = 2 * jnp.log(middle / jnp.where(gap > 0, root, 1))
    log_q = jnp.where(gap > 0, log_q, -1)
    ratio = jnp.where(t < 0, 0, jnp.expm1((power + 1) * log_q) / jnp.expm1(log_q))
    falling = root**power * ratio

    double = (t + 1) * (jnp.abs(p) / 2) ** power
    return sign * jnp.where(gap < 0, turning, jnp.where(gap > 0, falling, double))


# --- best settings, rates and limits ----------------------------------------------------------------------------------


def rate(bowl: Bowl, learning_rate: Float[ArrayLike, ""], momentum: Float[ArrayLike, ""] = 0.0) -> Float[Array, ""]:
    """The factor by which errors shrink (or, above 1, grow) in a step in the long run, with any settings.

        without momentum    max_i |1 - eta lambda_i|
        with momentum mu    max_i of the larger |root| of r^2 - (1 + mu - eta lambda_i) r + mu = 0,
                            which is sqrt(mu) where the roots are complex

    (Polyak 1964). At a double root errors shrink as ``t rate^t``, a little slower at first, and half of the digits
    are lost here: `best_heavy_ball` has its own rate to full precision.
    """
    p = jnp.abs(1 + momentum - learning_rate * jnp.asarray(bowl.eigenvalues))
    middle = jnp.sqrt(momentum)
    gap = jnp.maximum((p - 2 * middle) * (p + 2 * middle), 0)
    return jnp.max(jnp.maximum((p + jnp.sqrt(gap)) / 2, middle))


def limit(bowl: Bowl, momentum: Float[ArrayLike, ""] = 0.0) -> Float[Array, ""]:
    """The learning rate above which the steepest direction diverges: ``2 (1 + mu) / lambda_max`` (Polyak 1964).

    Below it both gradient descent (mu = 0) and momentum with ``0 <= mu < 1`` converge from everywhere.
    """
    return 2 * (1 + jnp.asarray(momentum)) / _extremes(bowl)[1]


def best_descent(bowl: Bowl) -> Settings:
    """Gradient descent with the learning rate of the fastest convergence, and how fast that is.

        eta = 2 / (lambda_min + lambda_max),    rate = (k - 1) / (k + 1)

    The flattest and the steepest direction then shrink equally, and the steepest changes sides at each step
    (Polyak 1964).
    """
    low, high = _extremes(bowl)
    return Settings(2 / (low + high), jnp.zeros_like(low), (high - low) / (high + low))


def best_heavy_ball(bowl: Bowl) -> Settings:
    """Momentum with the settings of the fastest convergence, and how fast that is (Polyak 1964).

        eta = (2 / (sqrt(lambda_min) + sqrt(lambda_max)))^2
        mu = ((sqrt(k) - 1) / (sqrt(k) + 1))^2,    rate = sqrt(mu) = (sqrt(k) - 1) / (sqrt(k) + 1)

    So it needs some sqrt(k) steps where gradient descent needs k.
    """
    low, high = map(jnp.sqrt, _extremes(bowl))
    shrink = (high - low) / (high + low)
    return Settings(jnp.square(2 / (low + high)), jnp.square(shrink), shrink)
