"""What a gate that follows the time does in an LSTM, and where it pays (UVA part 2; Neil et al. 2016).

python -m experiments.time_gate [--full]
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.table import Table

from experiments import hidden_period
from experiments.frequency import FREQUENCY, NAMES, WaveSettings
from experiments.hidden_period import Recovery
from experiments.norms import median
from jaxrnn import plots, runfolder
from jaxrnn.cells import LSTMCell, TimeGatedLSTMCell, time_gate
from jaxrnn.command import at_least_one, command, plain_console
from jaxrnn.data import windows
from jaxrnn.data.sines import Sampling
from jaxrnn.errors import SettingsError
from jaxrnn.runfolder import Reference
from jaxrnn.sweeps import Finding, Point, SweepSettings, Swept, conduct
from jaxrnn.typing import Float
from jaxrnn.words import median_percent

EXPERIMENT = FREQUENCY

SAMPLINGS: tuple[Sampling, ...] = ("regular", "high_rate", "asynchronous")

PAPER: Mapping[Sampling, Mapping[str, float]] = {
    "regular": {"lstm": 0.8934, "time_gated_lstm": 0.9926},
    "high_rate": {"lstm": 0.5172, "time_gated_lstm": 0.9961},
    "asynchronous": {"lstm": 0.6902, "time_gated_lstm": 0.9789},
}
"""Neil et al. 2016, figure 3a: test accuracy after 70 epochs, the mean of 5 runs, from the authors' published notebook.
110 units, 5,000 waves an epoch, a sample every 0.1 ms at the high rate."""

LEARNED = 0.9
"""The validation accuracy from which a run has learned the task."""

WITHIN = 0.02
"""A hidden period is found whose error is below this share of it."""

TAU, S, R_ON = 8.0, 2.0, 0.5
"""The gate that is drawn."""


@dataclass(frozen=True, kw_only=True)
class Settings(SweepSettings, WaveSettings):
    """An LSTM with a gate that opens for a part of a period and is closed for the rest, when a step copies the state.

    Draws the gate and how it depends on its numbers; measures what a closed gate keeps; has networks find a hidden
    period by learning it; and compares it with an LSTM on sine waves to be told by their period, sampled every
    millisecond, more often, and at random times.
    """

    full: bool = False
    """The size of the paper: 110 units, 5 seeds, 0.1 ms at the high rate, gates open for 0.05 of a period, Adam at
    0.001, 11,000 steps. Days on a CPU."""
    width: int = 3
    samplings: tuple[Sampling, ...] = SAMPLINGS
    """How waves are sampled."""
    networks: int = 8
    """How many networks look for the hidden period."""
    network_steps: int = 2000
    """Training steps of each of them."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(
            quick=True, seeds=2, width=2, steps=120, every=60, samplings=("asynchronous",), r_on=0.2, hidden=16,
            networks=2, network_steps=200,
        )  # fmt: skip

    @classmethod
    def full_defaults(cls) -> Self:
        return cls(full=True, seeds=5, width=5, steps=11_000, interval=0.1, hidden=110, r_on=0.05, learning_rate=1e-3)

    def check(self) -> None:
        super().check()
        if not self.samplings:
            raise SettingsError(f"--samplings must name at least one of {', '.join(SAMPLINGS)}")
        at_least_one(self, "networks", "network_steps")
        if self.network_steps % hidden_period.EVERY:
            raise SettingsError(
                f"--network-steps must be a multiple of {hidden_period.EVERY}, not {self.network_steps}"
            )


def main(name: str, settings: Settings) -> dict[str, Any] | None:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    points: list[Point] = [
        {"sampling": sampling, "cell": cell} for sampling in dict.fromkeys(settings.samplings) for cell in NAMES
    ]
    return conduct(name, settings, EXPERIMENT, points, lambda swept, out: find(settings, swept, out))


# --- what is worked out -----------------------------------------------------------------------------------------------


class Copying(NamedTuple):
    """One unit with a time gate and one without, of the same weights, on the same noise."""

    opened: Float[np.ndarray, "t"]
    states: Mapping[str, Float[np.ndarray, "t"]]
    """The cell states by network."""
    kept: Mapping[str, Float[np.ndarray, "t"]]
    """``dc_T/dc_t`` along the cell state alone: the product of the steps' own ``dc_t/dc_{t-1}``."""
    change: float
    """The largest change of any unit's c or h in a step at which its gate is closed."""
    slope_error: float
    """The largest difference of ``dc_t/dc_{t-1}`` from the identity in such a step."""


def copying(units: int = 16, steps: int = 120, tau: float = 40.0, r_on: float = 0.1) -> Copying:
    """What closed gates keep, measured in float32 step by step, over all units."""
    cell = TimeGatedLSTMCell(
        1, units, tau=tau, s=jnp.linspace(0, tau, units, endpoint=False), r_on=r_on, rngs=nnx.Rngs(0)
    )
    plain = LSTMCell(1, units, rngs=nnx.Rngs(0))
    for name in ("w_x", "w_h", "b_x", "b_h"):
        setattr(plain, name, getattr(cell, name))
    xs = jax.random.normal(jax.random.key(0), (steps, 1))

    def walk(cell):
        def step(carry, x):
            def c_after(c):
                return cell((carry[0], c, *carry[2:]), x)[0][1]

            after, _ = cell(carry, x)
            opened = cell.intermediates(carry, x).get("k", jnp.ones(units))
            moved = jnp.maximum(jnp.abs(after[0] - carry[0]), jnp.abs(after[1] - carry[1]))
            return after, (opened, after[1], jax.jacfwd(c_after)(carry[1]), moved)

        return jax.device_get(jax.lax.scan(step, cell.initial_carry(()), xs)[1])

    opened, states, slopes, moved = walk(cell)
    _, plain_states, plain_slopes, _ = walk(plain)
    closed = opened == 0
    identity = np.broadcast_to(np.eye(units, dtype=np.float32), slopes.shape)

    def kept(slopes):
        own = slopes[:, 0, 0]
        return np.append(np.cumprod(own[:0:-1])[::-1], 1.0)

    return Copying(
        opened[:, 0],
        {NAMES["time_gated_lstm"]: states[:, 0], NAMES["lstm"]: plain_states[:, 0]},
        {NAMES["time_gated_lstm"]: kept(slopes), NAMES["lstm"]: kept(plain_slopes)},
        float(moved[closed].max()),
        float(np.abs(slopes - identity)[closed].max()),
    )


class Slopes(NamedTuple):
    """How the gate depends on its numbers over time, by the number's name."""

    times: Float[np.ndarray, "t"]
    opened: Float[np.ndarray, "t"]
    gradients: Mapping[str, Float[np.ndarray, "t"]]
    closed: float
    """The largest gradient of any number at any time at which the gate is closed."""


def slopes(leak: float = 0.0) -> Slopes:
    """Of the gate that is drawn, over two periods, away from the corners."""
    times = np.arange(0.005, 2 * TAU + S, 0.01)
    found = jax.vmap(jax.grad(time_gate, argnums=(1, 2, 3)), (0, None, None, None, None))(times, TAU, S, R_ON, leak)
    opened = np.asarray(time_gate(times, TAU, S, R_ON))
    gradients = dict(zip((r"\tau", "s", r"r_{on}"), map(np.asarray, found), strict=True))
    return Slopes(times, opened, gradients, max(float(np.abs(g[opened == 0]).max()) for g in gradients.values()))


# --- what is measured -------------------------------------------------------------------------------------------------


class Race(NamedTuple):
    """Both networks with one way of sampling: the runs' values by cell."""

    curves: Mapping[str, Mapping[int, list[float]]]
    """Validation accuracy at each step."""
    test: Mapping[str, Float[np.ndarray, "r"]]
    """Test accuracy of the best checkpoint."""
    learned: Mapping[str, Float[np.ndarray, "r"]]
    """The step at which a run had learned the task, NaN where it did not."""


def races(settings: Settings, swept: Swept) -> dict[Sampling, Race]:
    """Both networks by the way of sampling."""
    found: dict[Sampling, Race] = {}
    for sampling in dict.fromkeys(settings.samplings):
        of = {point["cell"]: number for number, point in enumerate(swept.points) if point["sampling"] == sampling}
        curves = {
            cell: {
                round(epoch) * settings.every: values
                for epoch, values in swept.curves(number, "validation_accuracy").items()
            }
            for cell, number in of.items()
        }
        found[sampling] = Race(
            curves,
            {cell: swept.values(number, "test_accuracy") for cell, number in of.items()},
            {
                cell: swept.reached(number, "validation_accuracy", LEARNED) * settings.every
                for cell, number in of.items()
            },
        )
    return found


# --- what is said -----------------------------------------------------------------------------------------------------


def find(settings: Settings, swept: Swept, out: Path) -> Finding:
    """Draw all figures, look for the hidden period, print the tables, and answer the paper's questions."""

    def draw(figure, file):
        runfolder.save_figure(figure, out / file)

    times = np.linspace(0, S + 2.4 * TAU, 2000)
    title = "A time gate opens once a period, for a share of it"
    draw(plots.time_gate.course(times, time_gate(times, TAU, S, R_ON), TAU, S, R_ON, title), "gate.png")
    kept, sloped, leaking = copying(), slopes(), slopes(settings.leak)
    title = "While its time gate is closed, a unit keeps its state, and the gradient to it"
    draw(plots.time_gate.copying(kept.opened, kept.states, kept.kept, title), "copying.png")
    title = f"A gate can be learned while it is open (τ = {TAU:g}, s = {S:g}, r_on = {R_ON:g})"
    draw(plots.time_gate.slopes(sloped.times, sloped.opened, sloped.gradients, title), "slopes.png")

    recovery = hidden_period.recover(settings.seed, settings.networks, settings.network_steps, devices=settings.devices)
    title = f"{settings.networks} networks look for a hidden period of {windows.PERIOD:g}"
    draw(
        plots.time_gate.periods(recovery.steps, recovery.taus, recovery.read.tolist(), windows.PERIOD, title),
        "periods.png",
    )
    raced = races(settings, swept)
    panels = {
        _sampled(settings, sampling): {NAMES[cell]: curve for cell, curve in race.curves.items()}
        for sampling, race in raced.items()
    }
    paper = {
        _sampled(settings, sampling): {NAMES[cell]: value for cell, value in PAPER[sampling].items()}
        for sampling in raced
    }
    title = f"Is a sine wave's period between 5 and 6 ms? {settings.hidden} units, {settings.seeds} seeds"
    draw(plots.time_gate.learning(panels, paper, title, chance=0.5), "frequency.png")

    console = plain_console()
    console.print(_period_table(recovery))
    console.print(_race_table(settings, raced))
    metrics: dict[str, Any] = {
        "period_error": recovery.error,
        "period_mse": recovery.mse,
        "closed_state_change": kept.change,
        "closed_slope_error": kept.slope_error,
        "closed_gate_gradient": sloped.closed,
        "leaking_gate_gradient": leaking.closed,
        "periods_found": int((recovery.error < WITHIN).sum()),
        **{f"{cell}_state_left": abs(kept.kept[name][0]) for cell, name in NAMES.items()},
    }
    reference: list[Reference] = []
    for sampling, race in raced.items():
        for cell in NAMES:
            metric = f"{cell}_{sampling}_test_accuracy"
            metrics |= {metric: race.test[cell], f"{cell}_{sampling}_learned_at_step": race.learned[cell]}
            reference.append(
                {
                    "what": f"Neil et al. 2016, figure 3a: {NAMES[cell]}, {sampling.replace('_', ' ')} sampling",
                    "metric": metric,
                    "value": PAPER[sampling][cell],
                    "note": "110 units, 70 epochs of 5,000 waves, every 0.1 ms at the high rate; mean of 5 runs",
                }
            )
    return Finding(metrics=metrics, answers=answers(settings, kept, sloped, recovery, raced), reference=reference)


def _sampled(settings: Settings, sampling: Sampling) -> str:
    return {
        "regular": "every ms",
        "high_rate": f"every {settings.interval:g} ms",
        "asynchronous": "at random times",
    }[sampling]


def _period_table(recovery: Recovery) -> Table:
    table = Table(title=f"Hidden period {windows.PERIOD:g}", title_justify="left")
    for column in ("network", "began with", "found", "off by", "mean squared error"):
        table.add_column(column, justify="right")
    began = recovery.taus[0, np.arange(len(recovery.read)), recovery.read]
    for number, row in enumerate(zip(began, recovery.found, recovery.error, recovery.mse, strict=True)):
        first, found, error, mse = row
        table.add_row(str(number + 1), f"{first:.2f}", f"{found:.3f}", f"{error:.2%}", f"{mse:.4f}")
    table.add_section()
    table.add_row("median", "", f"{np.median(recovery.found):.3f}", f"{np.median(recovery.error):.2%}", "")
    return table


def _race_table(settings: Settings, raced: Mapping[Sampling, Race]) -> Table:
    table = Table(title="Test accuracy: median (lowest to highest) of the seeds", title_justify="left")
    for column in ("sampled", "network", "test accuracy", f"step at which {LEARNED:.0%} was reached", "paper"):
        table.add_column(column, justify="left" if column in ("sampled", "network") else "right")
    for sampling, race in raced.items():
        for cell, name in NAMES.items():
            table.add_row(
                _sampled(settings, sampling), name, median_percent(race.test[cell]), _steps(race.learned[cell]),
                f"{PAPER[sampling][cell]:.1%}",
            )  # fmt: skip
        table.add_section()
    return table


def _steps(learned: Float[np.ndarray, "r"]) -> str:
    """The median step of the runs that learned the task, and how many did."""
    finite = learned[np.isfinite(learned)]
    return f"{np.median(finite):,.0f} ({finite.size} of {learned.size})" if finite.size else f"none of {learned.size}"


def answers(
    settings: Settings,
    kept: Copying,
    sloped: Slopes,
    recovery: Recovery,
    raced: Mapping[Sampling, Race],
) -> dict[str, str]:
    """UVA's questions about the modified cell, with what was measured."""
    gated, plain = (abs(kept.kept[NAMES[cell]][0]) for cell in ("time_gated_lstm", "lstm"))
    pays: list[str] = []
    other: list[str] = []
    for sampling, race in raced.items():
        ours, theirs = race.test["time_gated_lstm"], race.test["lstm"]
        better = median(ours) > median(theirs)
        clear = " (in every run)" if better and np.nanmin(ours) > np.nanmax(theirs) else ""
        (pays if better else other).append(f"{_sampled(settings, sampling)}{clear}")
    compared = " and ".join(
        f"{what} where samples come {' and '.join(ways)}"
        for what, ways in (("higher", pays), ("no higher", other))
        if ways
    )
    found = int((recovery.error < WITHIN).sum())
    return {
        "U9": (
            "k(t) is a train of triangles: once every period tau, beginning at s (and at s plus any whole number of "
            "periods), it rises from 0 to 1 in the time r_on tau / 2, falls back to 0 in as long, and stays 0 until "
            "the period ends. The figure has the three numbers: tau is the distance of two triangles, s the place of "
            "the first, r_on the share of a period that a triangle covers. At the very peak the printed inequalities "
            "would give 0; by continuity it is 1, as it is computed here."
        ),
        "U10": (
            "While k = 0 a step copies c and h, whatever the input; while k is above 0, c moves a share k of the way "
            "to what an LSTM would have, and h the same share to tanh(c) o. In closed steps dc(t)/dc(t-1) is the "
            f"identity (the largest difference measured is {kept.slope_error:g}), so an error goes back over them "
            f"without fading: of a change of a unit's first cell state {gated:.2g} is left at the end of a sequence "
            f"of noise, and {plain:.2g} in an LSTM with the same weights. That should help where a memory must last "
            "over many steps, where signals are slow or of different rates (each unit has its own period), and where "
            "samples come at irregular times, since the gate follows the time and not the number of steps. Tried on "
            "sine waves to be told by their period, the median test accuracy of the time-gated LSTM, against an LSTM "
            f"that reads the times too, is {compared}."
        ),
        "U11": (
            "tau says how often a unit is updated, its time scale; s when in the period, so that units can take turns; "
            "r_on for how long, and with it how long the state is kept and how much is computed. All three can be "
            "learned from data, as k is piecewise linear in the phase and so has a gradient in each of them, but only "
            f"from steps at which the gate is open: while it is closed the largest one measured is {sloped.closed:g}. "
            f"A small leak in training (k = {settings.leak:g} times the phase) gives closed gates a gradient in tau "
            "and s, though none in r_on. tau is the hard one: a small change of it moves late openings far, so its "
            "loss has many local minima, and many units that begin with different periods help. Of "
            f"{len(recovery.error)} networks that had to find a hidden period of {windows.PERIOD:g} from numbers and "
            f"times alone, the unit that moves the output most comes within {WITHIN:.0%} of it in {found}; the median "
            f"error is {np.median(recovery.error):.2%}."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("time_gate", Settings, main))
