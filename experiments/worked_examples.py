"""The papers' worked examples beside their printed numbers (N1, N2, I2 to I4), and parameter counts (U7).

python -m experiments.worked_examples [--updates 200]
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from jaxrnn import models, plots, runfolder, worked
from jaxrnn.cells import CELLS
from jaxrnn.command import Settings as Common
from jaxrnn.command import command
from jaxrnn.demonstration import Shown, demonstrate
from jaxrnn.errors import SettingsError
from jaxrnn.theory import COUNTS, parameter_count
from jaxrnn.typing import Bias


@dataclass(frozen=True, kw_only=True)
class Settings(Common):
    """Work the papers' examples with the library's own cells, next to the numbers that the papers print.

    NTU's question 1, an Elman and a Jordan network over four steps; IST's question 1, two steps of a network whose
    weights are all 0.1, its losses and its first gradient; what the common mistakes would give; why no network is begun
    with equal weights; and how many parameters a cell has. Prints tables, and leaves config.json, result.json,
    worked_examples.csv, outputs.png and constant_start.png in the run folder.
    """

    updates: int = 200
    """Updates of gradient descent from IST's weights."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, updates=50)


LEARNING_RATE = 0.1
DRAWS = 10
"""How many networks with drawn weights are trained next to the one that starts constant."""

NETWORKS = {"elman": "NTU Q1(a), Elman", "jordan": "NTU Q1(b), Jordan"}
TRANSPOSED, TWICE, BY_HAND, STARTED = "W for W^T", "b counted twice", "rounded each step", "h(0) = 0.1"
"""The variants: three mistakes, and what someone who writes two decimals down does."""


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Work the examples in double precision, and leave a run folder; returns what its ``result.json`` says.

    Raises:
        SettingsError: fewer than two updates.
    """
    if settings.updates < 2:
        raise SettingsError(
            f"--updates must be at least 2, not {settings.updates}: the first one leaves the hidden layer as it is"
        )
    with jax.enable_x64(True):
        return demonstrate(name, settings, partial(show, settings))


def show(settings: Settings, console: Console, out: Path) -> Shown:
    """Work everything out, print the tables, and write the figures and the numbers."""
    ntu, ist, descent = work_ntu(), work_ist(), work_descent(settings.updates)
    counts = list(work_counts())
    for network, title in NETWORKS.items():
        console.print(ntu_table(title, ntu[network]["computed"], worked.NTU_PRINTED[network]))
    console.print(variants_table(ntu))
    console.print(ist_table(ist))
    console.print(ist_variants_table(ist))
    console.print(gradient_table(ist))
    console.print(descent_table(descent))
    console.print(counts_table())

    runfolder.write_csv(out / "worked_examples.csv", list(rows(ntu, ist)))
    runfolder.save_figure(
        plots.worked.outputs(_panels(ntu), "Two recurrent networks worked by hand"), out / "outputs.png"
    )
    runfolder.save_figure(
        plots.worked.starts(
            {"all weights 0.1": descent.constant, f"drawn weights ({DRAWS} draws)": descent.drawn},
            "Hidden units that start equal stay equal",
        ),
        out / "constant_start.png",
    )

    errors = {network: printed_error(ntu[network]["computed"], worked.NTU_PRINTED[network]) for network in NETWORKS}
    errors["ist"] = ist_error(ist)
    in_numpy = worked.ist_in_numpy()
    errors["numpy"] = max(float(np.abs(ist.computed[letter] - values).max()) for letter, values in in_numpy.items())
    wrong = sum(count != real for *_, count, real in counts)
    ys = {f"{network}_y{t}": y for network in NETWORKS for t, y in enumerate(ntu[network]["computed"]["y"], start=1)}
    return Shown(
        metrics={
            "max_error": max(errors.values()),
            **{f"max_error_{part}": error for part, error in errors.items()},
            "errors": wrong,
            **ys,
            **{f"ist_{name}_{t}": ist.computed[letter][t - 1, 0] for letter, name in IST_SHOWN.items() for t in (1, 2)},
            "ist_total_loss": ist.computed["ce"].sum(),
            "ist_mean_loss": ist.computed["ce"].mean(),
            "output_gradient_first": np.abs(ist.gradient["W_y"]).max(),
            "hidden_gradient_first": descent.constant["hidden_gradient"][0, 0],
            "hidden_gradient_second": descent.constant["hidden_gradient"][0, 1],
            "unit_difference": descent.constant["difference"].max(),
            "drawn_unit_difference": descent.drawn["difference"].min(axis=1),
            "constant_final_loss": descent.constant["loss"][:, -1],
            "drawn_final_loss": descent.drawn["loss"][:, -1],
            "cells_counted": len(counts),
            **{f"lstm_{d}_{words}": count for (d, words), count in lstm_counts().items()},
        },
        answers=answers(ntu, ist, descent, errors, len(counts), wrong),
        reference=references(),
    )


# What is worked out.

Trace = Mapping[str, np.ndarray]


def _plain(trace: Mapping[str, Any]) -> Trace:
    return {letter: np.asarray(array) for letter, array in trace.items()}


def work_ntu() -> dict[str, dict[str, Trace]]:
    """By network and variant, ``computed`` first: pre-activations ``a``, states ``h`` and outputs ``y (4,)``."""
    transposed = worked.NTU_ELMAN._replace(w=np.transpose(worked.NTU_ELMAN.w))
    by_hand = worked.ntu_by_hand()
    variants: dict[str, dict[str, Mapping[str, Any]]] = {
        "elman": {
            "computed": worked.ntu_elman(),
            TRANSPOSED: worked.ntu_elman(transposed),
            TWICE: worked.ntu_elman(bias="torch"),
            BY_HAND: {"y": by_hand["elman"]},
        },
        "jordan": {
            "computed": worked.ntu_jordan(),
            TWICE: worked.ntu_jordan(bias="torch"),
            BY_HAND: {"y": by_hand["jordan"]},
        },
    }
    return {
        network: {name: _plain({**trace, "y": trace["y"][:, 0]}) for name, trace in traces.items()}
        for network, traces in variants.items()
    }


class Ist(NamedTuple):
    """IST's question 1."""

    computed: Trace
    variants: Mapping[str, Trace]
    gradient: Mapping[str, np.ndarray]
    """Of the total loss, as `worked.ist_gradient` gives it."""


def work_ist() -> Ist:
    """IST's two steps: as asked, with each mistake, and the gradient."""
    variants = {TWICE: worked.ist(bias="torch"), STARTED: worked.ist(h_0=0.1)}
    return Ist(
        computed=_plain(worked.ist()),
        variants={name: _plain(trace) for name, trace in variants.items()},
        gradient=_plain(worked.ist_gradient(worked.elman(worked.IST))),
    )


CLOSED_FORMS = {
    "computed": worked.ist_closed_form(),
    TWICE: worked.ist_closed_form(biases=2),
    STARTED: worked.ist_closed_form(h_0=0.1),
}


def ist_error(ist: Ist) -> float:
    """The largest difference of IST's numbers, with and without mistakes and of the gradient, to their closed forms."""
    pairs = [
        (trace[letter].reshape(2, -1), np.reshape(values, (2, 1)))
        for name, trace in {"computed": ist.computed, **ist.variants}.items()
        for letter, values in CLOSED_FORMS[name].items()
    ]
    pairs += [(ist.gradient[name], slope) for name, slope in worked.ist_gradient_closed_form().items()]
    return max(float(np.abs(actual - expected).max()) for actual, expected in pairs)


class Descent(NamedTuple):
    """What `worked.ist_descent` saw, each ``(runs, updates + 1)``, from all weights 0.1 and from drawn ones."""

    constant: Mapping[str, np.ndarray]
    drawn: Mapping[str, np.ndarray]


def work_descent(updates: int) -> Descent:
    """Gradient descent on IST's two steps."""

    def train(network):
        _, seen = worked.ist_descent(network, updates + 1, LEARNING_RATE)  # it sees what is there before each
        return seen

    seen = jax.jit(train)(worked.elman(worked.IST))
    drawn = jax.jit(jax.vmap(lambda key: train(worked.ist_drawn(key))))(jax.random.split(jax.random.key(0), DRAWS))
    return Descent({name: np.asarray(values)[None] for name, values in seen.items()}, _plain(drawn))


def work_counts() -> Iterator[tuple[str, int, int, str, int, int]]:
    """Cell, d, n, bias convention, the formula's count, and that of a real cell's parameters."""
    for name in COUNTS:
        for d, n in ((1, 1), (1, 128), (10, 128), (28, 150), (3, 5), (87, 128)):
            for bias in get_args(Bias):
                make = partial(CELLS[name], d, n, bias=bias)
                real = models.parameter_count(nnx.eval_shape(lambda make=make: make(rngs=nnx.Rngs(0))))
                yield name, d, n, bias, parameter_count(name, d, n, bias=bias), real


UNITS, CLASSES = 128, 10
"""Of UVA's networks on palindromes."""


def lstm_counts() -> dict[tuple[int, str], int]:
    """The parameters of UVA's LSTM by the features of a digit, of the cell alone and with the output map."""
    return {
        (d, words): parameter_count("lstm", d, UNITS, bias="single", classes=classes)
        for d in (1, 10)
        for words, classes in (("cell", 0), ("with_output", CLASSES))
    }


def printed_error(trace: Trace, printed: Trace) -> float:
    """The largest difference to the printed numbers, after rounding to their two decimals."""
    return max(float(np.abs(np.round(trace[letter], 2) - values).max()) for letter, values in printed.items())


def seen_at(network: str, ys: np.ndarray) -> list[int]:
    """The time steps at which two decimals tell these outputs from the printed ones."""
    return [
        t for t, same in enumerate(np.isclose(np.round(ys, 2), worked.NTU_PRINTED[network]["y"]), start=1) if not same
    ]


# What is shown of it.


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def ntu_table(title: str, trace: Trace, printed: Trace) -> Table:
    """One of NTU's networks step by step, next to what the slides print."""
    table = _table(title, "t", "pre-activation", "h(t)", "printed", "y(t)", "printed")
    for t, (a, h, y) in enumerate(zip(trace["a"], trace["h"], trace["y"], strict=True)):
        both = ", ".join(f"{value:.2f}" for value in printed["h"][t])
        table.add_row(str(t + 1), _list(a, 4), _list(h, 4), both, f"{y:.6f}", f"{printed['y'][t]:.2f}")
    return table


def variants_table(ntu: Mapping[str, Mapping[str, Trace]]) -> Table:
    """The outputs of both networks with each mistake, and where two decimals show it."""
    table = _table("What the mistakes give: y(t)", "network", "y(1)", "y(2)", "y(3)", "y(4)", "seen at t =")
    for network, traces in ntu.items():
        for name, trace in traces.items():
            seen = ", ".join(map(str, seen_at(network, trace["y"]))) or "-"
            table.add_row(f"{network}: {name}", *(f"{y:.4f}" for y in trace["y"]), seen)
    return table


IST_SHOWN = {"h": "h", "logits": "logit", "p": "probability"}
"""What the metrics have of IST's steps."""

IST_NAMES = {"a": "pre-activation", "h": "h", "logits": "logits", "p": "probability", "ce": "loss (nats)"}


def ist_table(ist: Ist) -> Table:
    """IST's two steps, with their closed forms; every unit and every class has the same number."""
    table = _table("IST Q1, all weights and biases 0.1", "unit / class", "t = 1", "closed form", "t = 2", "closed form")
    for letter, words in IST_NAMES.items():
        first, second = ist.computed[letter].reshape(2, -1)[:, 0]
        expected = CLOSED_FORMS["computed"][letter]
        table.add_row(words, f"{first:.10f}", f"{expected[0]:.10f}", f"{second:.10f}", f"{expected[1]:.10f}")
    losses = ist.computed["ce"]
    table.caption = f"total loss {losses.sum():.10f}, mean loss {losses.mean():.10f}"
    return table


def ist_variants_table(ist: Ist) -> Table:
    """IST's two steps with each mistake."""
    table = _table("IST Q1, what the mistakes give", "", "t", "pre-\nactivation", "h", "logits", "p")
    for name, trace in {"as asked": ist.computed, **ist.variants}.items():
        for t in range(2):
            numbers = (f"{trace[letter][t].flat[0]:.10f}" for letter in ("a", "h", "logits"))
            table.add_row(name, str(t + 1), *numbers, f"{trace['p'][t].flat[0]:.6f}")
    return table


def gradient_table(ist: Ist) -> Table:
    """The gradient of IST's total loss, row by row where the rows differ: in each the entries are all the same."""
    table = _table("IST Q1, gradient of the total loss at the start", "weights", "shape", "each entry", "closed form")
    expected = worked.ist_gradient_closed_form()
    for name, slope in ist.gradient.items():
        shape, pairs = " x ".join(map(str, slope.shape)), zip(slope, expected[name], strict=True)
        alike = np.allclose(slope, slope[0], rtol=0, atol=5e-11)
        for row, both in enumerate([(slope, expected[name])] if alike else pairs, start=1):
            numbers = (_list(np.unique(np.round(entries, 10)), 10) for entries in both)
            table.add_row(name if alike else f"{name}, row {row}", shape, *numbers)
    return table


def descent_table(descent: Descent) -> Table:
    """Gradient descent after a few numbers of updates."""
    table = _table(
        f"Gradient descent at {LEARNING_RATE} from weights 0.1, and from {DRAWS} draws (means)",
        *(
            "updates",
            "loss",
            "hidden layer's\ngradient",
            "its units'\ndifference",
            "loss,\ndrawn",
            "difference,\ndrawn",
        ),
    )
    constant, drawn = ({name: values.mean(0) for name, values in seen.items()} for seen in descent)
    last = len(constant["loss"]) - 1
    for update in sorted({0, 1, 2, 10, last} & set(range(last + 1))):
        values = [constant[name][update] for name in ("loss", "hidden_gradient", "difference")]
        values += [drawn[name][update] for name in ("loss", "difference")]
        table.add_row(str(update), *(f"{value:.6f}" if value else "0" for value in values))
    return table


def counts_table() -> Table:
    """Parameter counts in closed form: of all cells at TOR's sizes, and of UVA's networks."""
    table = _table(
        "Parameters (formula), by bias convention",
        "cell",
        "d -> n",
        "none",
        "single",
        "torch",
        "single,\nand 10 outputs",
    )
    sizes = [(name, 28, 150) for name in COUNTS] + [(name, d, UNITS) for name in ("elman", "lstm") for d in (1, 10)]
    for name, d, n in sizes:
        counts = [parameter_count(name, d, n, bias=bias) for bias in ("none", "single", "torch")]
        counts.append(parameter_count(name, d, n, bias="single", classes=CLASSES))
        table.add_row(name, f"{d} -> {n}", *(f"{count:,}" for count in counts))
    return table


def _list(values: Sequence[float] | np.ndarray, decimals: int) -> str:
    return ", ".join(f"{value:.{decimals}f}" if value else "0" for value in values)


def _panels(ntu: Mapping[str, Mapping[str, Trace]]) -> dict[str, dict[str, Any]]:
    return {
        NETWORKS[network]: {
            "computed": traces["computed"]["y"],
            "printed": worked.NTU_PRINTED[network]["y"],
            "mistakes": {name: traces[name]["y"] for name in (TRANSPOSED, TWICE) if name in traces},
        }
        for network, traces in ntu.items()
    }


def rows(ntu: Mapping[str, Mapping[str, Trace]], ist: Ist) -> Iterator[dict[str, Any]]:
    """The lines of ``worked_examples.csv``: every number of every example and variant, and what is expected of it.

    ``expected`` is a printed number (two decimals) for NTU, and one in closed form for IST.
    """
    for network, traces in ntu.items():
        for name, trace in traces.items():
            expected = worked.NTU_PRINTED[network] if name == "computed" else {}
            yield from _lines(f"ntu_{network}", name, trace, expected)
    for name, trace in {"computed": ist.computed, **ist.variants}.items():
        of_all = {letter: np.reshape(values, (2, 1)) for letter, values in CLOSED_FORMS[name].items()}
        expected = {letter: np.broadcast_to(of_all[letter], trace[letter].reshape(2, -1).shape) for letter in of_all}
        yield from _lines("ist", name, trace, expected)


def _lines(example: str, variant: str, trace: Trace, expected: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    for letter, array in trace.items():
        wanted = np.reshape(expected[letter], (len(array), -1)) if letter in expected else None
        for (t, unit), value in np.ndenumerate(array.reshape(len(array), -1)):
            place = {"example": example, "variant": variant, "quantity": letter, "t": t + 1, "unit": unit + 1}
            yield place | {"value": value, "expected": None if wanted is None else wanted[t, unit]}


def references() -> list[runfolder.Reference]:
    """What the slides print, and what has a closed form."""
    printed: list[runfolder.Reference] = [
        {"what": f"{title}, y({t})", "metric": f"{network}_y{t}", "value": float(y), "note": "printed to 2 decimals"}
        for network, title in NETWORKS.items()
        for t, y in enumerate(worked.NTU_PRINTED[network]["y"], start=1)
    ]
    log_2 = math.log(2)
    return [
        *printed,
        {
            "what": "IST Q1, total loss",
            "metric": "ist_total_loss",
            "value": 2 * log_2,
            "note": "2 ln 2, none is printed",
        },
        {"what": "IST Q1, mean loss", "metric": "ist_mean_loss", "value": log_2, "note": "ln 2, none is printed"},
    ]


def answers(
    ntu: Mapping[str, Mapping[str, Trace]],
    ist: Ist,
    descent: Descent,
    errors: Mapping[str, float],
    checked: int,
    wrong: int,
) -> dict[str, str]:
    """The papers' questions, answered with what was computed."""

    def outputs(network: str) -> str:
        ys = ntu[network]["computed"]["y"]
        return (
            f"the outputs y(1) to y(4) are {_list(ys, 4)}. Rounded to two decimals they are {_list(ys, 2)}, and the "
            f"largest difference to any state or output that the slides print is {errors[network]:.2g}."
        )

    def seen(network: str, name: str) -> str:
        places = seen_at(network, ntu[network][name]["y"])
        return f"two decimals show it at t = {', '.join(map(str, places))}" if places else "two decimals do not show it"

    c, constant = ist.computed, descent.constant
    updates = constant["loss"].shape[1] - 1
    slope = np.abs(ist.gradient["W_y"]).max()
    return {
        "N1": (
            f"With h(t) = tanh(U^T x(t) + W^T h(t-1) + b), y(t) = sigmoid(V^T h(t) + c) and h(0) = 0, "
            f"{outputs('elman')} Two mistakes are easily made: W in place of W^T ({seen('elman', TRANSPOSED)}), and b "
            f"counted twice, as by PyTorch's two bias vectors ({seen('elman', TWICE)}). Rounding h(t) to two decimals "
            f"at every step, as by hand, does little harm ({seen('elman', BY_HAND)})."
        ),
        "N2": (
            f"Here the output is fed back: with h(t) = tanh(U^T x(t) + W^T y(t-1) + b), y(t) = sigmoid(V^T h(t) + c) "
            f"and y(0) = 0, {outputs('jordan')} W is 1 x 2, as there is one output, so W in place of W^T does not even "
            f"fit; b counted twice is a mistake that can be made ({seen('jordan', TWICE)}), and so is rounding y(t) to "
            f"two decimals before it is fed back ({seen('jordan', BY_HAND)}). The third entry that the slides print in "
            "V^T is a slip: two hidden units have two weights, and these give the printed outputs."
        ),
        "I2": (
            "At each step t: a_t = W_x x_t + W_h h_{t-1} + b, the state h_t = tanh(a_t), logits_t = W_y h_t + b_y, and "
            "the probabilities p_t = softmax(logits_t); h_0 = 0. The loss is the sum over the steps of -log of "
            "the probability of the target. W_x is 3 x 4, W_h 3 x 3 and W_y 2 x 3, and they are the same at every "
            "step. The text does not say how many biases the hidden layer has; one is meant here."
        ),
        "I3": (
            f"Every unit has h_1 = {c['h'][0, 0]:.10f} and h_2 = {c['h'][1, 0]:.10f}; both logits are "
            f"{c['logits'][0, 0]:.10f} at the first step and {c['logits'][1, 0]:.10f} at the second, so both classes "
            f"have p = {c['p'][0, 0]:.3g} at both steps, and the loss is ln 2 = {c['ce'].mean():.10f} a step and "
            f"{c['ce'].sum():.10f} in all. Beyond the question: the first gradient is {slope:.10f} in magnitude in W_y "
            f"and {constant['hidden_gradient'][0, 0]:.3g} in the hidden layer, as the rows of W_y are equal and the "
            "errors that come back through them cancel. From the second update on the hidden layer does learn, but "
            f"after {updates} updates its units differ by {constant['difference'][0, -1]:.3g}: they stay one unit, "
            "three times, which is why weights are drawn at random."
        ),
        "I4": (
            "The forward propagation in NumPy is ist_in_numpy in jaxrnn/worked.py: a loop over the steps with the "
            "equations of I2, and softmax and cross-entropy of what it collects. Its numbers and those of the "
            f"library's own cells, which the answer to I3 has, differ by {errors['numpy']:.2g} at most, and those from "
            f"what a pocket calculator gives, as all units are equal, by {errors['ist']:.2g}."
        ),
        "U7": (
            "The cell has 4 (nd + n^2 + n) parameters: the three gates and the input modulation g each have an n x d "
            "matrix for the input, an n x n matrix for the state and a bias of n. T and m are not in it, as all steps "
            "and all sequences of a batch have the same weights. The output map of equation (10), which is not a part "
            f"of the cell, has Kn + K more. The table has the numbers for n = {UNITS} and K = {CLASSES}, where a digit "
            f"is one number (d = 1) and where it is one-hot (d = 10). Such formulas are wrong for {wrong} of "
            f"{checked} cells of all kinds that were made and counted."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("worked_examples", Settings, main))
