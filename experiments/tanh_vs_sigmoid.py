"""Why tanh and not the sigmoid in a recurrent network: slopes, their ratio over time, and real Jacobians (T6 to T9).

python -m experiments.tanh_vs_sigmoid
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq

from jaxrnn import plots, runfolder, theory
from jaxrnn.command import Settings as CommonSettings
from jaxrnn.command import at_least_one, command
from jaxrnn.demonstration import Shown, demonstrate
from jaxrnn.plots.theory import SLOPES

EPSILON = 0.05
STEPS = np.arange(1, 21)
"""What TOR Q2.3 asks for."""

ACTIVATIONS: dict[str, Callable] = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
LARGEST_SLOPE = {"tanh": 1.0, "sigmoid": 0.25}

RADII = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.0, 16.0)
SHOWN_RADII = (0.5, 1.0, 2.0)

REFERENCE = (
    ("sigmoid_slope_approx", "sigmoid's slope at e = 0.05, approximated", 0.24984375),
    ("tanh_slope_approx", "tanh's slope at e = 0.05, approximated", 0.9975),
    ("sigmoid_slope", "sigmoid's slope at e = 0.05", 0.2498438150811164),
    ("tanh_slope", "tanh's slope at e = 0.05", 0.9975041607715679),
    ("rho_approx", "rho_approx(0.05)", 0.2504699248120301),
    ("rho", "rho(0.05)", 0.250468945300301),
    ("rho_approx_power_20", "rho_approx(0.05)^20", 9.44303736345503e-13),
    ("rho_power_20", "rho(0.05)^20", 9.442298813927799e-13),
    ("log10_rho_approx", "decades per step, approximated", -0.6012444145964383),
    ("log10_rho", "decades per step", -0.6012461129934456),
    ("crossover_approx", "end of the interval, approximated slopes", 0.8944271909999159),
    ("crossover", "end of the interval, true slopes", 1.662885891058621),
    ("slope_at_crossover", "both slopes there", 0.1339745962155614),
    ("literal_power_20", "0.25^20, of the literal reading", 9.094947017729282e-13),
    ("rho_printed", "the ratio as it is printed, at e = 0.05", 5.001039671361616),
)
"""Metric, what it is, and its value, worked out independently with 40 digits."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """Compare tanh and the sigmoid as activations of a recurrent network: their slopes, and what follows over time.

    Prints the slopes, the interval where the sigmoid's is the smaller one, and the powers of their ratio; measures
    how Jacobians of random networks grow or shrink over time; leaves figures, CSV files and result.json in the run
    folder.
    """

    hidden: int = 64
    """Hidden units of the random networks."""
    steps: int = 100
    """Time steps of the random networks."""
    seeds: int = 8
    """Random networks for each spectral radius."""
    seed: int = 0
    """Where the random numbers start."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, hidden=16, steps=40, seeds=3)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Work it all out, and leave a run folder; returns what its ``result.json`` says.

    Raises:
        SettingsError: no hidden units, steps or seeds.
    """
    at_least_one(settings, "hidden", "steps", "seeds")

    def show(console: Console, out: Path) -> Shown:
        with jax.enable_x64(True):
            return shown(settings, console, out)

    return demonstrate(name, settings, show)


def shown(settings: Settings, console: Console, out: Path) -> Shown:
    """Every part in turn, printed, drawn and written; in double precision where that is switched on."""
    values = numbers()
    _slopes(console, out, values)
    _powers(console, out)
    measured = measure(settings)
    _jacobians(console, out, measured)
    errors = [abs(values[metric] / value - 1) for metric, _, value in REFERENCE]
    values |= {"max_error": max(errors), "jacobian_ratio_error": measured.error} | measured.numbers()
    return Shown(
        metrics=values,
        answers=answers(values, settings),
        reference=[
            {
                "what": f"TOR Q2: {what}",
                "metric": metric,
                "value": value,
                "note": "worked out with 40 digits; the paper prints none",
            }
            for metric, what, value in REFERENCE
        ],
    )


# --- slopes and their ratio -------------------------------------------------------------------------------------------


def numbers() -> dict[str, float]:
    """Every number of TOR Q2 by its metric: at e = 0.05, ends of intervals, powers to T = 20."""
    e, last = EPSILON, int(STEPS[-1])
    found, found_approx = crossovers()
    values = {
        "sigmoid_slope_approx": theory.sigmoid_slope_approx(e),
        "tanh_slope_approx": theory.tanh_slope_approx(e),
        "sigmoid_slope": theory.sigmoid_slope(e),
        "tanh_slope": theory.tanh_slope(e),
        "rho_approx": theory.rho_approx(e),
        "rho": theory.rho(e),
        "rho_approx_power_20": theory.rho_approx(e) ** last,
        "rho_power_20": theory.rho(e) ** last,
        "log10_rho_approx": jnp.log10(theory.rho_approx(e)),
        "log10_rho": theory.log_rho(e) / np.log(10),
        "crossover_approx": theory.CROSSOVER_APPROX,
        "crossover": theory.CROSSOVER,
        "crossover_approx_found": found_approx,
        "crossover_found": found,
        "slope_at_crossover": theory.sigmoid_slope(theory.CROSSOVER),
        "sigmoid_slope_error": theory.sigmoid_slope_approx(e) - theory.sigmoid_slope(e),
        "tanh_slope_error": theory.tanh_slope_approx(e) - theory.tanh_slope(e),
        "relative_difference_1": theory.rho_approx(e) / theory.rho(e) - 1,
        "relative_difference_20": (theory.rho_approx(e) / theory.rho(e)) ** last - 1,
        "literal_power_20": 0.25**last,
        "rho_printed": theory.rho_printed(e),
        "rho_printed_power_20": theory.rho_printed(e) ** last,
    }
    return {name: float(value) for name, value in values.items()}


def crossovers() -> tuple[float, float]:
    """Where the slopes cross, found numerically: those that JAX finds of the activations, and the approximated ones."""

    def gap(e):
        return float(jax.grad(jnp.tanh)(e) - jax.grad(jax.nn.sigmoid)(e))

    def gap_approx(e):
        return float(theory.tanh_slope_approx(e) - theory.sigmoid_slope_approx(e))

    return brentq(gap, 0.1, 5.0, xtol=1e-14), brentq(gap_approx, 0.1, 5.0, xtol=1e-14)


def _slopes(console: Console, out: Path, values: Mapping[str, float]) -> None:
    e = np.linspace(-3, 3, 241)
    curves: dict[str, Any] = {"tanh": np.asarray(theory.tanh_slope(e)), "sigmoid": np.asarray(theory.sigmoid_slope(e))}
    rough: dict[str, Any] = {
        "tanh": np.asarray(theory.tanh_slope_approx(e)),
        "sigmoid": np.asarray(theory.sigmoid_slope_approx(e)),
    }
    columns = [("e", e), *((f"{name}_slope", slope) for name, slope in curves.items())]
    columns += [(f"{name}_slope_approx", slope) for name, slope in rough.items()]
    _write_columns(out / "slopes.csv", columns)
    intervals = {"approximations": values["crossover_approx"], "true slopes": values["crossover"]}
    figure = plots.theory.slopes(
        e.tolist(), curves, rough, intervals, "Near 0 the sigmoid's slope is a quarter of tanh's"
    )
    runfolder.save_figure(figure, out / "slopes.png")
    table = Table(title="Where the sigmoid's slope is at most tanh's: |e| up to", title_justify="left")
    for column in ("slopes", "closed form", "value", "found numerically"):
        table.add_column(column, justify="left" if column in ("slopes", "closed form") else "right")
    for name, closed, key in (
        ("approximations", "2 / sqrt(5)", "crossover_approx"),
        ("true", "2 arccosh((1 + sqrt 3) / 2)", "crossover"),
    ):
        table.add_row(name, closed, f"{values[key]:.12f}", f"{values[f'{key}_found']:.12f}")
    console.print(table)


def _powers(console: Console, out: Path) -> None:
    logs = {
        "rho": float(theory.log_rho(EPSILON)),
        "rho_approx": float(jnp.log(theory.rho_approx(EPSILON))),
        "literal": float(np.log(0.25)),
        "printed": float(jnp.log(theory.rho_printed(EPSILON))),
    }
    differences = {name: np.abs(np.expm1(STEPS * (logs[name] - logs["rho"]))) for name in ("rho_approx", "literal")}
    columns = [("T", STEPS), *((name, np.exp(STEPS * log)) for name, log in logs.items())]
    columns += [(f"{name}_relative_difference", values) for name, values in differences.items()]
    _write_columns(out / "powers.csv", columns)
    figure = plots.theory.powers(
        STEPS.tolist(),
        {"true ratio ρ": logs["rho"] / np.log(10), "approximated ratio": logs["rho_approx"] / np.log(10)},
        differences["rho_approx"].tolist(),
        f"Powers of the ratio of the slopes at e = {EPSILON}",
    )
    runfolder.save_figure(figure, out / "powers.png")
    table = Table(title=f"Powers of the ratio of the slopes at e = {EPSILON}", title_justify="left")
    for column in ("T", "rho_approx^T", "rho^T", "difference", "0.25^T", "printed^T"):
        table.add_column(column, justify="right")
    for place in (0, 1, 4, 9, 14, 19):
        powers = {name: np.exp(STEPS[place] * log) for name, log in logs.items()}
        row = [f"{powers[name]:.10e}" for name in ("rho_approx", "rho")] + [f"{differences['rho_approx'][place]:.1e}"]
        table.add_row(str(STEPS[place]), *row, *(f"{powers[name]:.1e}" for name in ("literal", "printed")))
    console.print(table)
    console.print("difference: relative; 0.25^T: the literal reading; printed^T: of sigmoid'/tanh, a dot lost")


# --- Jacobians of random networks -------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Sizes of ``dh_t/dh_0``, as logarithms to base 10."""

    norms: dict[str, np.ndarray]
    """Of tanh and sigmoid, ``(radii, seeds, steps)``."""
    held: np.ndarray
    """``(seeds, steps)``: the sigmoid's less tanh's, where every pre-activation is held at e."""
    error: float
    """The largest relative difference of the held ratio to ``rho^T``."""

    def at(self, name: str, radius: float) -> np.ndarray:
        """``(seeds, steps)``."""
        return self.norms[name][RADII.index(radius)]

    def rates(self, name: str) -> np.ndarray:
        """The decades gained in a step, over the whole time, ``(radii, seeds)``."""
        return self.norms[name][..., -1] / self.norms[name].shape[-1]

    def numbers(self) -> dict[str, float]:
        """By metric, geometric means over the seeds: the size at radius 1 after 20 steps (the last one, where there are
        fewer), and what a step multiplies it by, at radius 1 and 2 and at most."""
        found: dict[str, float] = {}
        for name in self.norms:
            rates = 10 ** self.rates(name).mean(1)
            found |= {
                f"{name}_size_at_20": float(10 ** self.at(name, 1.0)[:, :20].mean(0)[-1]),
                f"{name}_step_factor_1": float(rates[RADII.index(1.0)]),
                f"{name}_step_factor_2": float(rates[RADII.index(2.0)]),
                f"{name}_largest_step_factor": float(rates.max()),
            }
        return found


def measure(settings: Settings) -> Measured:
    """Random networks ``h_t = f(x_t + r Q h_{t-1})``, ``Q`` a random rotation, ``x_t`` normal of the size of e.

    All eigenvalues of ``r Q`` have modulus r, its spectral radius, and so have all its singular values.
    """
    weight_key, input_key = jax.random.split(jax.random.key(settings.seed))
    size = settings.hidden, settings.hidden
    # one after the other, for QR factorisations under vmap wait for each other's threads
    rotations = jax.lax.map(
        lambda key: jax.nn.initializers.orthogonal()(key, size, jnp.result_type(float)),
        jax.random.split(weight_key, settings.seeds),
    )
    xs = EPSILON * jax.random.normal(input_key, (settings.seeds, settings.steps, settings.hidden))
    norms, held = {}, {}
    for name, activate in ACTIVATIONS.items():
        over_seeds = jax.vmap(lambda radius, q, xs, f=activate: random_network(f, radius * q, xs), (None, 0, 0))
        norms[name] = np.asarray(jax.jit(jax.vmap(over_seeds, (0, None, None)))(jnp.array(RADII), rotations, xs))
        held[name] = np.asarray(jax.jit(jax.vmap(lambda q, f=activate: held_network(f, q, settings.steps)))(rotations))
    ratio = held["sigmoid"] - held["tanh"]
    expected = np.arange(1, settings.steps + 1) * float(theory.log_rho(EPSILON))
    decades = {name: values / np.log(10) for name, values in norms.items()}
    return Measured(decades, ratio / np.log(10), float(np.abs(np.expm1(ratio - expected)).max()))


def random_network(activate: Callable, w: Any, xs: Any) -> Any:
    """Logarithms of the sizes of ``dh_t/dh_0``, ``(t,)``, from a zero state."""
    return theory.log_jacobian_norms(lambda h, x: activate(x + w @ h), jnp.zeros_like(xs[0]), xs)


def held_network(activate: Callable, w: Any, steps: int) -> Any:
    """The same where every pre-activation is e at every step: the input is what that takes."""
    h = jnp.full(w.shape[0], activate(EPSILON))
    xs = jnp.broadcast_to(EPSILON - w @ h, (steps, w.shape[0]))
    return theory.log_jacobian_norms(lambda h, x: activate(x + w @ h), h, xs)


def _jacobians(console: Console, out: Path, measured: Measured) -> None:
    steps = measured.held.shape[1]
    slope = float(theory.log_rho(EPSILON)) / np.log(10)
    _write_norms(out / "jacobian_norms.csv", measured)
    panels = {
        f"spectral radius {radius:g}": {name: (look, measured.at(name, radius)) for name, look in SLOPES.items()}
        for radius in SHOWN_RADII
    }
    figure = plots.theory.over_time(
        panels,
        "A perturbation of the first state, in random networks",
        x="time step t",
        y="its size at step t: ‖dh_t/dh_0‖ / √h",
    )
    runfolder.save_figure(figure, out / "jacobian_norms.png")
    black = plots.style.Look(plots.style.BLACK, ":", "")
    looks = plots.style.looks([f"random network, radius {radius:g}" for radius in SHOWN_RADII])
    ratios = {
        name: (look, measured.at("sigmoid", radius) - measured.at("tanh", radius))
        for (name, look), radius in zip(looks.items(), SHOWN_RADII, strict=True)
    }
    held = {"every pre-activation at e": (plots.style.Look(plots.style.AMBER, "none", "P"), measured.held)}
    straight = {"ρ(e)^t": (black, [slope * step for step in range(1, steps + 1)])}
    figure = plots.theory.over_time(
        {"": ratios | held},
        f"What the sigmoid loses against tanh, and ρ(e)^t at e = {EPSILON}",
        x="time step t",
        y="sigmoid's size over tanh's",
        bounds={"": straight},
    )
    runfolder.save_figure(figure, out / "jacobian_ratio.png")
    limits = {name: np.log10(np.array(RADII) * largest).tolist() for name, largest in LARGEST_SLOPE.items()}
    figure = plots.theory.growth(
        RADII,
        {name: measured.rates(name).T for name in ACTIVATIONS},
        limits,
        f"What a step does to a perturbation (mean factor over {steps} steps)",
    )
    runfolder.save_figure(figure, out / "spectral_radius.png")
    table = Table(title=f"Factor in a step, geometric mean of {steps} steps and all seeds", title_justify="left")
    for column in ("spectral radius", "tanh", "sigmoid", "sigmoid / tanh"):
        table.add_column(column, justify="right")
    for place, radius in enumerate(RADII):
        tanh, sigmoid = (measured.rates(name)[place].mean() for name in ("tanh", "sigmoid"))
        table.add_row(f"{radius:g}", *(f"{10**value:.4f}" for value in (tanh, sigmoid, sigmoid - tanh)))
    console.print(table)


def _write_columns(path: Path, columns: list[tuple[str, Any]]) -> None:
    names, values = zip(*columns, strict=True)
    runfolder.write_csv(path, [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)])


def _write_norms(path: Path, measured: Measured) -> None:
    rows = []
    for place, radius in enumerate(RADII):
        tanh, sigmoid = (measured.norms[name][place] for name in ("tanh", "sigmoid"))
        for seed, step in np.ndindex(tanh.shape):
            row = {"radius": radius, "seed": seed, "t": step + 1}
            rows.append(row | {"log10_tanh": tanh[seed, step], "log10_sigmoid": sigmoid[seed, step]})
    runfolder.write_csv(path, rows)


def answers(values: Mapping[str, float], settings: Settings) -> dict[str, str]:
    """TOR's questions Q2.1 to Q2.4, with the numbers worked out here."""
    v = values
    return {
        "T6": (
            "sigmoid(e) is about 1/2 + e/4; put into the slope sigmoid (1 - sigmoid) that makes 1/4 - e^2/16. tanh(e) "
            f"is about e; put into 1 - tanh^2 that makes 1 - e^2. At e = {EPSILON} these are "
            f"{v['sigmoid_slope_approx']:.8f} and {v['tanh_slope_approx']:.8f}, the true slopes "
            f"{v['sigmoid_slope']:.8f} and {v['tanh_slope']:.8f}; the errors, {v['sigmoid_slope_error']:.1e} and "
            f"{v['tanh_slope_error']:.1e}, are of the order of e^4. Read to the letter, as the first two terms of the "
            "slope's own series, the approximations would be the constants 1/4 and 1: slopes are even functions, "
            "without a term in e."
        ),
        "T7": (
            "1/4 - e^2/16 <= 1 - e^2 wherever e^2 <= 4/5, so in the interval |e| <= 2/sqrt(5) = "
            f"{v['crossover_approx']:.9f} (found numerically: {v['crossover_approx_found']:.9f}). For the true slopes "
            f"the interval is longer, |e| <= 2 arccosh((1 + sqrt 3)/2) = {v['crossover']:.9f} (found numerically: "
            f"{v['crossover_found']:.9f}); at its ends both slopes are {v['slope_at_crossover']:.9f}. With the "
            "constants 1/4 and 1 it would be everywhere."
        ),
        "T8": (
            "Both fall exponentially, as straight lines on a logarithmic axis: each step takes "
            f"{-v['log10_rho']:.4f} decades off, which leaves about a quarter. After 20 steps rho^20 = "
            f"{v['rho_power_20']:.4e} and rho_approx^20 = {v['rho_approx_power_20']:.4e}. The two curves lie on each "
            f"other: they differ by {v['relative_difference_1']:.1e} of their value at T = 1 and by "
            f"{v['relative_difference_20']:.1e} at T = 20 (right panel). The constants 1/4 and 1 would give 0.25^20 = "
            f"{v['literal_power_20']:.4e}. The paper prints the true ratio without the dot over tanh; that ratio, "
            f"{v['rho_printed']:.5f}, would grow, to {v['rho_printed_power_20']:.1e} at T = 20."
        ),
        "T9": (
            "The gradient that comes back through T steps is multiplied by a slope and a weight at each of them. Where "
            "these products stay below 1 it vanishes, and training hardly learns from what was read long ago. Near 0 "
            "the slope of tanh is about 1 and the sigmoid's about 1/4, so with the same weights the sigmoid's gradient "
            f"is about rho^T ~ 0.25^T of tanh's. Measured in random networks of {settings.hidden} units whose weights "
            "neither stretch nor shrink (spectral radius 1), a change of the first state has "
            f"{v['tanh_size_at_20']:.2g} times its size after {min(20, settings.steps)} steps with tanh, and "
            f"{v['sigmoid_size_at_20']:.1e} times with the sigmoid. Whatever the radius up to {max(RADII):g}, a step "
            f"with the sigmoid multiplies it by {v['sigmoid_largest_step_factor']:.2f} at most. So tanh slows the "
            "vanishing down, but does not end it: with smaller weights, and where units saturate, its products are "
            "below 1 as well."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("tanh_vs_sigmoid", Settings, main))
