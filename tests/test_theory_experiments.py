"""The commands about theory: what they measure, answer and leave behind, and settings that make no sense."""

import csv
import json

import jax
import numpy as np
import pytest
from flax import nnx

from contract import float64, soon
from experiments import gradient_flow, tanh_vs_sigmoid
from jaxrnn.command import command
from jaxrnn.layers import stack
from jaxrnn.models import Classifier

COMMANDS = {"gradient_flow": gradient_flow, "tanh_vs_sigmoid": tanh_vs_sigmoid}


def run(name, *options):
    return command(name, COMMANDS[name].Settings, COMMANDS[name].main, ["--quick", *map(str, options)])


def result_of(folder):
    result = json.loads((folder / "result.json").read_text())
    means = {name: values["mean"] for name, values in result["metrics"].items()}
    assert all(row["metric"] in means for row in result["reference"])
    return result, means


def test_tanh_vs_sigmoid(tmp_path):
    assert run("tanh_vs_sigmoid", "--out", tmp_path / "run") == 0
    result, means = result_of(tmp_path / "run")
    assert means["max_error"] < 1e-13 and means["jacobian_ratio_error"] < 1e-11
    for row in result["reference"]:
        assert means[row["metric"]] == pytest.approx(row["value"], rel=1e-13)
    assert means["crossover_found"] == pytest.approx(means["crossover"], abs=1e-12)
    assert means["crossover_approx_found"] == pytest.approx(means["crossover_approx"], abs=1e-12)
    assert means["relative_difference_20"] == pytest.approx(7.8217131e-5, rel=1e-6)
    assert set(result["answers"]) == {"T6", "T7", "T8", "T9"}
    assert "1.662885891" in result["answers"]["T7"] and "9.0949e-13" in result["answers"]["T8"]
    with open(tmp_path / "run" / "powers.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["T"]) for row in rows] == list(range(1, 21))
    assert float(rows[19]["rho_approx"]) == pytest.approx(9.4430373635e-13, rel=1e-10)
    assert float(rows[19]["rho"]) == pytest.approx(9.4422988139e-13, rel=1e-10)


def test_random_networks_keep_below_their_bound():
    """No singular value of a step is above radius times the activation's largest slope."""
    with float64():
        measured = tanh_vs_sigmoid.measure(tanh_vs_sigmoid.Settings(hidden=6, steps=12, seeds=2))
    steps = np.arange(1, 13)
    for name, largest in tanh_vs_sigmoid.LARGEST_SLOPE.items():
        bound = steps * np.log10(np.array(tanh_vs_sigmoid.RADII) * largest)[:, None, None]
        assert measured.norms[name].shape == (len(tanh_vs_sigmoid.RADII), 2, 12)
        assert np.all(measured.norms[name] <= bound + 1e-9)
    assert np.all(measured.at("sigmoid", 0.5) < measured.at("tanh", 0.5))


def test_closed_forms_and_copies_are_automatic_differentiation():
    with float64():
        errors = gradient_flow.differences(1)
    assert {f"bptt_error_{name}" for name in ("w_ph", "w_hh", "w_hx")} <= set(errors)
    assert {f"copies_error_{name}" for name in ("uva", "elman", "gru", "lstm")} <= set(errors)
    assert max(errors.values()) <= 1e-12
    assert gradient_flow.closed_form_error({"bptt_error_w_ph": 1.0, "bptt_error_w_hh": 2, "copies_error_uva": 3}) == 2


def test_terms_vanish_and_explode_and_the_output_weights_have_one():
    with float64():
        sizes = gradient_flow.term_sizes(length=40, hidden=32, seed=0)
    assert sizes["vanishing"]["w_hh"][1] < 1e-4 < sizes["kept"]["w_hh"][1] and sizes["exploding"]["w_hh"][1] > 1
    for terms in sizes.values():
        assert terms["w_hh"][0] == 0 and terms["w_hh"][-1] == 1  # h(0) is zero
        assert terms["w_ph"].tolist() == 39 * [0] + [1]


@pytest.mark.parametrize("cell", gradient_flow.NAMES)
def test_what_is_measured_of_a_model(cell):
    """Of an Elman network and a GRU the state is the output, of an LSTM there is more."""
    rngs = nnx.Rngs(0)
    model = Classifier(stack(cell, gradient_flow.SYMBOLS, [3], rngs=rngs), gradient_flow.SYMBOLS, rngs=rngs)
    xs, y = gradient_flow.recall_task(np.random.default_rng(0), 6, 5)
    accuracy, state, output = soon(gradient_flow.measure)(model, xs, y)
    assert float(accuracy) == pytest.approx(np.mean(np.argmax(model(xs), -1) == y))
    assert state.shape == output.shape == (5,) and float(state[-1]) == float(output[-1])
    assert np.all(state[:-1] > output[:-1]) if cell == "lstm" else np.all(state == output)
    # after the last step only the head is left: dL/dh_T = W (softmax - y)
    gap = jax.nn.softmax(model(xs)) - np.eye(gradient_flow.SYMBOLS)[y]
    size = np.sqrt(np.mean(np.sum(np.square(gap @ model.head.kernel[...].T), axis=-1)))
    assert float(state[-1]) == pytest.approx(np.log10(size), abs=1e-5)


def test_the_symbol_is_in_the_first_step_alone():
    xs, y = gradient_flow.recall_task(np.random.default_rng(0), 50, 6)
    assert xs.shape == (50, 6, gradient_flow.SYMBOLS)
    np.testing.assert_array_equal(xs[:, 0], np.eye(gradient_flow.SYMBOLS)[y])
    assert set(y.tolist()) == set(range(gradient_flow.SYMBOLS))
    assert np.abs(xs[:, 1:]).max() < 6 * gradient_flow.NOISE


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("tanh_vs_sigmoid", ["--hidden", "0"], "--hidden must be at least 1"),
        ("tanh_vs_sigmoid", ["--seeds", "0"], "--seeds must be at least 1"),
        ("gradient_flow", ["--length", "1"], "--length must be at least 2"),
        ("gradient_flow", ["--epochs", "0"], "--epochs must be at least 1"),
        ("gradient_flow", ["--learning-rate", "nan"], "--learning-rate must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(name, options, words, tmp_path, capsys):
    assert run(name, "--out", tmp_path / "run", *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said
    assert not (tmp_path / "run").exists()
