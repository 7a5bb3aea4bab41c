"""One step of each recurrence, and the registry of them all.

A cell is called as ``cell(carry, x) -> (carry, y)`` on one time step of any number of rows at once: ``x`` is
``(*b, d)``, ``y`` is ``(*b, h)``, and every leaf of the carry leads with the batch dimensions ``*b``. The scan over
time is `jaxrnn.scan.unroll`.

Where ``x`` is integers, ``(*b, 1)``, they stand for one-hot vectors of ``d`` entries: a product with one is a row of
the weights, and is looked up.

Letters, as in the papers but with rows for vectors: ``x_t`` input, ``h_t`` hidden state, ``c_t`` cell state, ``s`` the
logistic sigmoid, ``*`` the elementwise product. Fused weights hold their gates side by side in PyTorch's order.

To add a cell, write its class below and its line in `CELLS`: contract tests, parameter table, benchmark and every
``--cell`` option read the registry.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.nn.initializers import glorot_uniform, orthogonal

from jaxrnn.typing import Array, ArrayLike, Bias, Carry, Float, Init, Shaped


class Cell(nnx.Module):
    """The contract of a cell: one step, the carry that a sequence starts from, and the output that a carry stands for.

    The attributes ``in_features`` (d) and ``features`` (h) are plain integers; every array attribute is an `nnx.Param`
    of floats (`Fixed` where it is not learned), so that a cell is a pytree that any JAX transform takes. A cell of
    one's own need not inherit from this class, as long as it keeps the contract; ``read`` and `mix` are what the
    wrappers of `jaxrnn.wrappers` ask for.
    """

    in_features: int
    features: int

    activation: ClassVar[str] = ""
    """The nonlinearities of a step, in words, for the model summary."""

    random: ClassVar[bool] = False
    """Whether a step draws random numbers: `unroll` then calls ``cell(carry, x, key=...)`` where it is given a key."""

    def __call__(
        self, carry: Carry, x: Float[Array, "*b d"], *, read: Float[Array, "*b h"] | None = None
    ) -> tuple[Carry, Float[Array, "*b h"]]:
        """One step: the carry before and the input, to the carry after and the output.

        The recurrent weights read ``output(carry)``, or ``read`` in its place; what a step hands on past its weights (a
        share of the state before, say) is the carry's in either case.
        """
        raise TypeError(f"{type(self).__name__} is a cell without a step: define __call__(carry, x)")

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        """The carry that a row starts from: zeros, or the learned one, for each of ``batch_shape`` rows."""
        raise TypeError(f"{type(self).__name__} is a cell without a start: define initial_carry(batch_shape)")

    def intermediates(
        self, carry: Carry, x: Float[Array, "*b d"], *, read: Float[Array, "*b h"] | None = None
    ) -> dict[str, Float[Array, "*b h"]]:
        """What a step computes on its way, by the letters of the class's equations, up to the state and the output.

        A cell of one's own needs it for `jaxrnn.theory.gate_trace` only.
        """
        raise TypeError(f"{type(self).__name__} does not name what it computes: define intermediates(carry, x)")

    def output(self, carry: Carry) -> Float[Array, "*b h"]:
        """The output ``y_t`` that belongs to the carry after step t: what a classifier reads at the end of a row."""
        return carry

    def mix(self, function: Callable[[Array, Array], Array], old: Carry, new: Carry) -> Carry:
        """``function(old, new)`` of every state of the units in two carries; the rest of the carry is the new one's."""
        return jax.tree.map(function, old, new)


class Fixed(nnx.Variable):
    """A number of a module that training leaves as it is."""


def zero_where_fixed(tree: Any) -> Any:
    """A pytree like a module, such as its gradients, with zeros for what is `Fixed`."""

    def take(node):
        return jax.tree.map(jnp.zeros_like, node) if isinstance(node, Fixed) else node

    return jax.tree.map(take, tree, is_leaf=lambda node: isinstance(node, Fixed))


def _uniform(shape: tuple[int, ...], h: int, rngs: nnx.Rngs) -> Array:
    """PyTorch's draw for what belongs to a layer of ``h`` units: U(-1/sqrt(h), 1/sqrt(h))."""
    return jax.random.uniform(rngs.params(), shape, minval=-(h**-0.5), maxval=h**-0.5)


def _weights(
    gates: int, d: int, h: int, bias: Bias, init: Init, rngs: nnx.Rngs, *, fed_back: int | None = None
) -> tuple:
    """``W_x (d, gates*h)``, ``W_h (h, gates*h)``, ``b_x`` and ``b_h (gates*h,)``, absent biases as None.

    Where not the ``h`` units themselves are fed back but something of ``fed_back`` features, that is ``W_h``'s height.
    """
    back = h if fed_back is None else fed_back
    if bias not in ("torch", "single", "none"):
        raise ValueError(f"bias must be 'torch', 'single' or 'none', not {bias!r}")
    if init == "pytorch":
        w_x, w_h = _uniform((d, gates * h), h, rngs), _uniform((back, gates * h), h, rngs)
        b_x, b_h = _uniform((gates * h,), h, rngs), _uniform((gates * h,), h, rngs)
    elif init == "default":
        w_x = jnp.concatenate([glorot_uniform()(rngs.params(), (d, h)) for _ in range(gates)], axis=1)
        w_h = jnp.concatenate([orthogonal()(rngs.params(), (back, h)) for _ in range(gates)], axis=1)
        b_x = b_h = jnp.zeros(gates * h)
    else:
        raise ValueError(f"init must be 'default' or 'pytorch', not {init!r}")
    return (
        nnx.Param(w_x),
        nnx.Param(w_h),
        None if bias == "none" else nnx.Param(b_x),
        nnx.Param(b_h) if bias == "torch" else None,
    )


FEW = 32
"""Up to so many weights, calling a matrix kernel costs more than the product itself (measured on CPU: a step of 32
networks of 5 units takes a quarter of the time without one)."""


def product(x: Shaped[Array, "*b d"], weights: Float[Array, "d h"]) -> Float[Array, "*b h"]:
    """``x W``, of integers that of the one-hot vectors that they stand for, NaN of one that stands for none.

    Raises:
        ValueError: other features than the weights are for.
    """
    check_features(x, weights.shape[0])
    if jnp.issubdtype(x.dtype, jnp.integer):
        ids = x[..., 0].astype(jnp.promote_types(x.dtype, jnp.int32))  # a byte has no number for any number of features
        places = jnp.where(ids < 0, weights.shape[0], ids)  # indexing counts those from the end
        return weights.at[places].get(mode="fill", fill_value=jnp.nan)
    return jnp.sum(x[..., :, None] * weights, axis=-2) if weights.size <= FEW else x @ weights


def check_features(x: Shaped[Array, "*b d"], features: int) -> None:
    """Raises ValueError where ``x`` has not so many features and does not stand for vectors that have: some would be
    left out, or one be taken for all."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        if x.shape[-1] != 1:
            raise ValueError(
                f"integers stand for one-hot vectors, one integer a step, (..., 1), not {x.shape}: "
                "make features that are whole numbers floats"
            )
    elif x.shape[-1] != features:
        raise ValueError(f"inputs or carries of shape {x.shape} do not fit weights for {features} features")


def _affine(x: Shaped[Array, "*b d"], w: nnx.Param, b: nnx.Param | None) -> Float[Array, "*b h"]:
    return product(x, w[...]) if b is None else product(x, w[...]) + b[...]


def _learned(features: int, learn_carry: bool) -> nnx.Param | None:
    return nnx.Param(jnp.zeros(features)) if learn_carry else None


def _start(learned: nnx.Param | None, batch_shape: tuple[int, ...], like: nnx.Param) -> Float[Array, "*b h"]:
    shape = (*batch_shape, like.shape[0])
    return jnp.zeros(shape, like.dtype) if learned is None else jnp.broadcast_to(learned[...], shape)


class AffineCell(Cell):
    """A cell whose step is two affine maps, of what it reads, and after them elementwise arithmetic alone.

        a_x = x_t W_x + b_x,    a_h = h_{t-1} W_h + b_h
        the step = combine(carry_{t-1}, a_x, a_h)

    So its inputs can be projected apart from the steps, and the gradients of its weights be formed of all steps at
    once: see `jaxrnn.schemes`. The state ``h_t`` is the output.
    """

    w_x: nnx.Param
    w_h: nnx.Param
    b_x: nnx.Param | None
    b_h: nnx.Param | None

    def project(self, x: Shaped[Array, "*b d"]) -> Float[Array, "*b g"]:
        """``a_x``: all that a step needs of its input, of any number of inputs at once."""
        return _affine(x, self.w_x, self.b_x)

    def recur(self, h: Float[Array, "*b h"]) -> Float[Array, "*b g"]:
        """``a_h``, likewise, of what is fed back."""
        return _affine(h, self.w_h, self.b_h)

    def combine(self, carry: Carry, a_x: Float[Array, "*b g"], a_h: Float[Array, "*b g"]) -> dict[str, Array]:
        """What a step computes after its products, by the letters of the class's equations."""
        raise TypeError(
            f"{type(self).__name__} does not say what follows its products: define combine(carry, a_x, a_h)"
        )

    def after(self, step: dict[str, Array]) -> Carry:
        """The carry after a step, of what it computed."""
        return step["h"]

    def __call__(self, carry, x, *, read=None):
        step = self.intermediates(carry, x, read=read)
        return self.after(step), step["h"]

    def intermediates(self, carry, x, *, read=None):
        return self.combine(carry, self.project(x), self.recur(self.output(carry) if read is None else read))


class ElmanCell(AffineCell):
    """The basic recurrent cell (Elman 1990), with tanh or ReLU.

        a_t = x_t W_x + b_x + h_{t-1} W_h + b_h
        h_t = tanh(a_t),    y_t = h_t

    Parameters: ``w_x (d, h)``, ``w_h (h, h)``, ``b_x (h,)``, ``b_h (h,)`` (None unless ``bias="torch"``), and with
    ``learn_carry`` the initial state ``h_0 (h,)``. Carry: ``h_t``. PyTorch's `nn.RNN` in one step.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        activation: str = "tanh",
        bias: Bias = "torch",
        init: Init = "default",
        learn_carry: bool = False,
        rngs: nnx.Rngs,
    ):
        if activation not in ("tanh", "relu"):
            raise ValueError(f"activation must be 'tanh' or 'relu', not {activation!r}")
        self.in_features, self.features = in_features, features
        self.activation = activation  # type: ignore[misc]
        self.w_x, self.w_h, self.b_x, self.b_h = _weights(1, in_features, features, bias, init, rngs)
        self.h_0 = _learned(features, learn_carry)

    def combine(self, carry, a_x, a_h):
        nonlinearity = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        return {"a": a_x + a_h, "h": nonlinearity(a_x + a_h)}

    def initial_carry(self, batch_shape):
        return _start(self.h_0, batch_shape, self.w_h)


class JordanCell(Cell):
    """The recurrent cell whose output is fed back in place of its hidden state (Jordan 1986), as in NTU Q1(b).

        a_t = x_t W_x + b_x + y_{t-1} W_y + b_y
        h_t = tanh(a_t)
        y_t = s(h_t V + c)

    The output layer belongs to the cell: ``features`` (h) is the width of ``y_t``, and ``hidden`` (m, the same where
    not given) that of ``h_t``. Parameters: ``w_x (d, m)``, ``w_y (h, m)``, ``b_x (m,)``, ``b_y (m,)`` (None unless
    ``bias="torch"``), ``v (m, h)``, ``c (h,)`` (None if ``bias="none"``), and with ``learn_carry`` the initial output
    ``y_0 (h,)``. Carry: ``y_t``. PyTorch's initialisation is that of an `nn.RNN` of m units with an `nn.Linear` on top.
    """

    activation = "tanh, and sigmoid for the output"

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        hidden: int | None = None,
        bias: Bias = "torch",
        init: Init = "default",
        learn_carry: bool = False,
        rngs: nnx.Rngs,
    ):
        hidden = features if hidden is None else hidden
        self.in_features, self.features = in_features, features
        self.w_x, self.w_y, self.b_x, self.b_y = _weights(1, in_features, hidden, bias, init, rngs, fed_back=features)
        if init == "pytorch":
            v, c = _uniform((hidden, features), hidden, rngs), _uniform((features,), hidden, rngs)
        else:
            v, c = glorot_uniform()(rngs.params(), (hidden, features)), jnp.zeros(features)
        self.v, self.c = nnx.Param(v), None if bias == "none" else nnx.Param(c)
        self.y_0 = _learned(features, learn_carry)

    def __call__(self, carry, x, *, read=None):
        y = self.intermediates(carry, x, read=read)["y"]
        return y, y

    def intermediates(self, carry, x, *, read=None):
        a = _affine(x, self.w_x, self.b_x) + _affine(carry if read is None else read, self.w_y, self.b_y)
        h = jnp.tanh(a)
        return {"a": a, "h": h, "y": jax.nn.sigmoid(_affine(h, self.v, self.c))}

    def initial_carry(self, batch_shape):
        return _start(self.y_0, batch_shape, self.w_y)


class GRUCell(AffineCell):
    """The gated recurrent unit (Cho et al. 2014), in PyTorch's form: the reset gate acts after the product.

        r_t = s(x_t W_xr + b_xr + h_{t-1} W_hr + b_hr)                 reset gate
        z_t = s(x_t W_xz + b_xz + h_{t-1} W_hz + b_hz)                 update gate
        n_t = tanh(x_t W_xn + b_xn + r_t * (h_{t-1} W_hn + b_hn))      candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1},    y_t = h_t

    Parameters: ``w_x (d, 3h)``, ``w_h (h, 3h)``, ``b_x (3h,)``, ``b_h (3h,)`` (None unless ``bias="torch"``), gates in
    the order r, z, n, and with ``learn_carry`` the initial state ``h_0 (h,)``. Carry: ``h_t``.
    """

    activation = "tanh, and sigmoid for the gates"

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        bias: Bias = "torch",
        init: Init = "default",
        learn_carry: bool = False,
        rngs: nnx.Rngs,
    ):
        self.in_features, self.features = in_features, features
        self.w_x, self.w_h, self.b_x, self.b_h = _weights(3, in_features, features, bias, init, rngs)
        self.h_0 = _learned(features, learn_carry)

    def combine(self, carry, a_x, a_h):
        x_r, x_z, x_n = jnp.split(a_x, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(a_h, 3, axis=-1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        n = jnp.tanh(x_n + r * h_n)
        return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * carry}

    def initial_carry(self, batch_shape):
        return _start(self.h_0, batch_shape, self.w_h)


class LSTMCell(AffineCell):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i_t = s(x_t W_xi + b_xi + h_{t-1} W_hi + b_hi)       input gate
        f_t = s(x_t W_xf + b_xf + h_{t-1} W_hf + b_hf)       forget gate
        g_t = tanh(x_t W_xg + b_xg + h_{t-1} W_hg + b_hg)    input modulation
        o_t = s(x_t W_xo + b_xo + h_{t-1} W_ho + b_ho)       output gate
        c_t = g_t * i_t + c_{t-1} * f_t
        h_t = tanh(c_t) * o_t,    y_t = h_t

    Parameters: ``w_x (d, 4h)``, ``w_h (h, 4h)``, ``b_x (4h,)``, ``b_h (4h,)`` (None unless ``bias="torch"``), gates in
    the order i, f, g, o, and with ``learn_carry`` the initial states ``h_0 (h,)`` and ``c_0 (h,)``. Carry:
    ``(h_t, c_t)``.

    ``forget_bias`` is the forget gate's whole initial bias (all of it in ``b_x``, ``b_h`` zero there). Not given, it is
    1 for ``init="default"`` (Jozefowicz et al. 2015), and PyTorch's random one for ``init="pytorch"``.
    """

    activation = "tanh, and sigmoid for the gates"

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        bias: Bias = "torch",
        init: Init = "default",
        forget_bias: ArrayLike | None = None,
        learn_carry: bool = False,
        rngs: nnx.Rngs,
    ):
        self.in_features, self.features = in_features, features
        w_x, w_h, b_x, b_h = _weights(4, in_features, features, bias, init, rngs)
        if forget_bias is not None and b_x is None:
            raise ValueError("forget_bias needs a bias: bias must be 'torch' or 'single', not 'none'")
        if forget_bias is None and init == "default":
            forget_bias = 1.0
        if forget_bias is not None and b_x is not None:
            forget = slice(features, 2 * features)
            b_x = nnx.Param(b_x[...].at[forget].set(forget_bias))
            b_h = None if b_h is None else nnx.Param(b_h[...].at[forget].set(0.0))
        self.w_x, self.w_h, self.b_x, self.b_h = w_x, w_h, b_x, b_h
        self.h_0, self.c_0 = _learned(features, learn_carry), _learned(features, learn_carry)

    def combine(self, carry, a_x, a_h):
        _, c = carry
        gates = self.gates(a_x + a_h)
        c = gates["g"] * gates["i"] + c * gates["f"]
        return {**gates, "c": c, "h": jnp.tanh(c) * gates["o"]}

    def after(self, step):
        return step["h"], step["c"]

    def gates(self, a: Float[Array, "*b g"]) -> dict[str, Float[Array, "*b h"]]:
        """``i_t``, ``f_t``, ``g_t`` and ``o_t`` by their letters, from the sum ``a_x + a_h``."""
        i, f, g, o = jnp.split(a, 4, axis=-1)
        return {"i": jax.nn.sigmoid(i), "f": jax.nn.sigmoid(f), "g": jnp.tanh(g), "o": jax.nn.sigmoid(o)}

    def initial_carry(self, batch_shape):
        return _start(self.h_0, batch_shape, self.w_h), _start(self.c_0, batch_shape, self.w_h)

    def output(self, carry):
        return carry[0]


def time_gate(t: ArrayLike, tau: ArrayLike, s: ArrayLike, r_on: ArrayLike, leak: ArrayLike = 0.0) -> Array:
    """How far a time gate is open at time ``t``, from 0 to 1: up and down again once a period (UVA, equation 12).

        phi = ((t - s) mod tau) / tau
        k   = 2 phi / r_on        phi <= r_on / 2                 opening
              2 - 2 phi / r_on    r_on / 2 < phi < r_on           closing
              leak phi            otherwise                       closed

    ``tau`` > 0 is the period, ``s`` the time at which a period begins, 0 < ``r_on`` <= 1 the share of it in which the
    gate is open; arrays broadcast. The assignment's inequalities leave the peak, phi = r_on / 2, to "otherwise", where
    k is 0; whole steps do meet it (tau = 8, r_on = 0.5, s = 0, t = 2), and by continuity k is 1. ``leak`` is the alpha
    of Neil et al. (2016), 0 in the assignment: without it a closed gate has no gradient.
    """
    periods = (jnp.asarray(t) - s) / tau
    phi = periods - jnp.floor(periods)
    sides = 2 * phi / r_on
    return jnp.where(sides <= 1, sides, jnp.where(sides < 2, 2 - sides, leak * phi))


GateNumber = Literal["tau", "s", "r_on"]
"""A number of a time gate."""


class TimeGatedLSTMCell(LSTMCell):
    """An LSTM whose units each change in a part of a period only (UVA part 2; the Phased LSTM of Neil et al. 2016).

        k_t  = time_gate(t, tau, s, r_on)           see `time_gate`
        c~_t = g_t * i_t + c_{t-1} * f_t            i, f, g, o as in `LSTMCell`
        c_t  = k_t * c~_t + (1 - k_t) * c_{t-1}
        h~_t = tanh(c_t) * o_t                      ``h_from="gated"``, the assignment's equation 15
               tanh(c~_t) * o_t                     ``h_from="candidate"``, said to be how its authors compute it
        h_t  = k_t * h~_t + (1 - k_t) * h_{t-1},    y_t = h_t

    Where the gate is closed, and without a ``leak``, a step copies the state: dc_t/dc_{t-1} = 1, however many steps.

    The time ``t`` is the number of the step, from 1 (a masked step is none, and a reset starts again); where steps are
    not evenly spaced, call it with the pair ``(x, times)``, times ``(*b, 1)``, that is ``unroll(cell, (xs, times))``.

    Parameters: those of `LSTMCell`, and of the gate ``log_tau``, ``s`` and ``logit_r_on``, ``(h,)``, or ``(1,)`` if
    ``shared`` by all units: so tau stays above 0 and r_on between 0 and 1. Those named in ``fixed`` are not learned.
    ``tau``, ``s`` and ``r_on`` are where they start, numbers or ``(h,)``; not given, log tau is drawn from U(1, 3) (2.7
    to 20 time units) and s from U(0, tau), as in the paper, and r_on is 0.5. (The paper's 0.05 is for finely sampled
    time: at whole steps such gates are all but always closed.) Carry: ``(h_t, c_t, t + 1)``, the last ``(*b, 1)``.

    Raises:
        ValueError: a tau that is not above 0, an r_on that is not between 0 and 1, an unknown ``h_from`` or name.
    """

    activation = "tanh, and sigmoid for the gates; the time gate piecewise linear"

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        tau: ArrayLike | None = None,
        s: ArrayLike | None = None,
        r_on: ArrayLike = 0.5,
        leak: float = 0.0,
        h_from: Literal["gated", "candidate"] = "gated",
        shared: bool = False,
        fixed: Collection[GateNumber] = (),
        rngs: nnx.Rngs,
        **options: Any,
    ):
        super().__init__(in_features, features, rngs=rngs, **options)
        if h_from not in ("gated", "candidate"):
            raise ValueError(f"h_from must be 'gated' or 'candidate', not {h_from!r}")
        if unknown := set(fixed) - set(get_args(GateNumber)):
            raise ValueError(f"what may be fixed is tau, s and r_on, not {', '.join(sorted(unknown))}")
        _between("tau", tau, np.inf)
        _between("r_on", r_on, 1)
        shape, dtype = (1 if shared else features,), self.w_h.dtype
        if tau is None:
            tau = jnp.exp(jax.random.uniform(rngs.params(), shape, dtype, 1.0, 3.0))
        if s is None:
            s = jax.random.uniform(rngs.params(), shape, dtype) * tau

        def number(name: GateNumber, value: ArrayLike) -> nnx.Variable:
            return (Fixed if name in fixed else nnx.Param)(jnp.broadcast_to(jnp.asarray(value, dtype), shape))

        self.log_tau, self.s = number("tau", jnp.log(jnp.asarray(tau, dtype))), number("s", s)
        self.logit_r_on = number("r_on", jax.scipy.special.logit(jnp.asarray(r_on, dtype)))
        self.leak, self.h_from = leak, h_from

    @property
    def tau(self) -> Float[Array, "h"]:
        """The periods."""
        return jnp.exp(self.log_tau[...])

    @property
    def r_on(self) -> Float[Array, "h"]:
        """The shares of a period in which the gates are open."""
        return jax.nn.sigmoid(self.logit_r_on[...])

    def __call__(self, carry, x, *, read=None):
        step = self.intermediates(carry, x, read=read)
        time = x[1] if isinstance(x, tuple) else carry[2]
        return (step["h"], step["c"], (time + 1).astype(carry[2].dtype)), step["h"]

    def intermediates(self, carry, x, *, read=None):
        h, c, time = carry
        if isinstance(x, tuple):
            x, time = x[0], x[1].astype(time.dtype)
        gates = self.gates(self.project(x) + self.recur(h if read is None else read))
        k = jnp.broadcast_to(time_gate(time, self.tau, self.s[...], self.r_on, self.leak), c.shape).astype(c.dtype)
        proposed = gates["g"] * gates["i"] + c * gates["f"]
        c = k * proposed + (1 - k) * c
        h = k * jnp.tanh(c if self.h_from == "gated" else proposed) * gates["o"] + (1 - k) * h
        return {**gates, "k": k, "c": c, "h": h}

    def initial_carry(self, batch_shape):
        # in bfloat16, 256 + 1 is 256
        dtype = jnp.promote_types(self.w_h.dtype, jnp.float32)
        return *super().initial_carry(batch_shape), jnp.ones((*batch_shape, 1), dtype)

    def mix(self, function, old, new):
        return *super().mix(function, old[:2], new[:2]), new[2]


def _between(name: str, value: ArrayLike | None, high: float) -> None:
    """Raises ValueError where a number, or one of an array's, is not above 0 and below ``high``; a traced one is not
    looked at."""
    if value is None or isinstance(value, jax.core.Tracer):
        return
    numbers = np.asarray(value)
    if not np.all((numbers > 0) & (numbers < high)):
        raise ValueError(f"{name} must be above 0" + (f" and below {high}" if high < np.inf else "") + f", not {value}")


CELLS: dict[str, Callable[..., Cell]] = {
    "elman": ElmanCell,
    "elman_relu": partial(ElmanCell, activation="relu"),
    "jordan": JordanCell,
    "gru": GRUCell,
    "lstm": LSTMCell,
    "time_gated_lstm": TimeGatedLSTMCell,
}
"""Every public cell by the name it has on the command line: ``CELLS[name](in_features, features, rngs=rngs)``."""
