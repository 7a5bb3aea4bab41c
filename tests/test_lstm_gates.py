"""The LSTM with a gate held at 1: which numbers it leaves as they are, and what the ablation counts."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import lstm_gates
from experiments.lstm_gates import GATES, GateSettings, HeldLSTMCell, Settings, held_accuracies, holding, traces
from jaxrnn.cells import LSTMCell
from jaxrnn.command import command
from jaxrnn.errors import SettingsError, UserError
from jaxrnn.scan import unroll
from jaxrnn.study import run_keys
from jaxrnn.theory import gate_trace
from jaxrnn.train import fit

XS = np.random.default_rng(0).normal(size=(3, 6, 4)).astype(np.float32)


def cell(held, **options):
    return HeldLSTMCell(4, 5, held=held, init="pytorch", rngs=nnx.Rngs(1), **options)


def intact():
    return LSTMCell(4, 5, init="pytorch", rngs=nnx.Rngs(1))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_with_no_gate_held_it_is_the_lstm_to_the_bit():
    assert all(np.array_equal(*pair) for pair in zip(leaves(cell("none")), leaves(intact()), strict=True))
    for one, other in zip(leaves(unroll(cell("none"), XS)), leaves(unroll(intact(), XS)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("held", GATES)
def test_a_held_gate_is_1_and_the_first_step_s_others_are_as_they_were(held):
    assert all(np.array_equal(*pair) for pair in zip(leaves(cell(held)), leaves(intact()), strict=True))
    trace, free = gate_trace(cell(held), XS), gate_trace(intact(), XS)
    assert np.all(trace[held] == 1) and not np.any(np.asarray(free[held]) == 1)
    for letter in set(GATES) - {held}:
        np.testing.assert_array_equal(trace[letter][:, 0], free[letter][:, 0])
    c = np.zeros((3, 5))
    for step in range(6):
        i, f, g, o = (np.asarray(trace[letter][:, step]) for letter in "ifgo")
        c = g * i + c * f
        np.testing.assert_allclose(trace["c"][:, step], c, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(trace["h"][:, step], np.tanh(c) * o, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("held", GATES)
def test_the_weights_of_a_held_gate_and_no_others_have_no_gradient(held):
    gradient = jax.jit(jax.grad(lambda cell: jnp.sum(unroll(cell, XS)[1] ** 2)))(cell(held))
    for leaf in leaves(gradient):
        parts = dict(zip("ifgo", np.split(leaf, 4, axis=-1), strict=True))
        assert {letter for letter, part in parts.items() if not part.any()} == {held}


@pytest.fixture(scope="module")
def trained():
    """Two tiny networks that have begun to learn palindromes, and what they are tested on."""
    settings = GateSettings(length=4, hidden=8, batch=32, steps=200, every=200, learning_rate=2e-2)
    study = lstm_gates.study(settings)
    fitted = fit(study.task, run_keys(0, np.arange(2)), study.hparams, study.train, epochs=1, progress=False)
    return fitted.progress.runs.final, *(part[:300] for part in study.evals["test"])


def by_hand(model, xs, held):
    """The digits that a network says, step by step in NumPy and double precision."""
    cell, head = model.layers.layers[0].cell, model.head
    w_x, w_h, b_x, b_h, w, b = (
        np.asarray(leaf[...], float) for leaf in (cell.w_x, cell.w_h, cell.b_x, cell.b_h, head.kernel, head.bias)
    )
    h = c = np.zeros((len(xs), cell.features))
    for x in xs.swapaxes(0, 1):
        i, f, g, o = np.split(x @ w_x + b_x + h @ w_h + b_h, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        gates = {"i": i, "f": f, "g": np.tanh(g), "o": o}
        if held != "none":
            gates[held] = np.ones_like(gates[held])
        c = gates["g"] * gates["i"] + c * gates["f"]
        h = np.tanh(c) * gates["o"]
    return (h @ w + b).argmax(1)


def test_the_ablation_counts_what_the_networks_say_step_by_step(trained):
    models, xs, labels = trained
    found = held_accuracies(models, xs, labels)
    assert list(found) == ["none", *GATES]
    for held, accuracies in found.items():
        for run, accuracy in enumerate(accuracies):
            said = by_hand(jax.tree.map(lambda leaf, run=run: leaf[run], models), xs, held)
            assert accuracy == pytest.approx((said == labels).mean(), abs=1 / 300)
    assert (found["none"] > 0.5).all() and (found["g"] < found["none"]).all()


def test_a_gate_is_held_in_a_copy_with_the_same_weights(trained):
    model = jax.tree.map(lambda leaf: leaf[0], trained[0])
    held = holding(model, "f")
    assert (lstm_gates.cell_of(model).held, lstm_gates.cell_of(held).held) == ("none", "f")
    assert all(np.array_equal(*pair) for pair in zip(leaves(held), leaves(model), strict=True))


def test_traces_are_those_of_every_network_and_sequence(trained):
    models, xs, _ = trained
    found = traces(models, xs[:7])
    second = jax.tree.map(lambda leaf: leaf[1], models)
    for letter, values in gate_trace(lstm_gates.cell_of(second), xs[:7]).items():
        assert found[letter].shape == (2, 7, 3, 8)
        np.testing.assert_allclose(found[letter][1], values, rtol=1e-4, atol=1e-6)
    assert set(found) == set("ifgoch")


@pytest.mark.parametrize(
    "curve, step",
    [
        ({100: [0.1, 1.0, 0.2], 300: [0.0, 1.0, 1.0], 200: [1.0, 0.999, 0.2]}, 200),
        ({100: [np.nan, np.nan], 200: [np.nan, 1.0]}, 200),
        ({100: [0.5], 200: [0.99]}, np.inf),
    ],
)
def test_a_task_is_learned_where_the_median_run_first_solves_it(curve, step):
    assert lstm_gates.learned_after(curve) == step


def test_what_a_network_cannot_do_without_and_what_slows_it_is_said_of_the_medians():
    after = {"i": [0.98, 0.5, 1.0], "f": [0.995] * 3, "g": [np.nan] * 3, "o": [1.0, 1.0, 0.1]}
    steps = {"none": 2, "i": 1, "f": 2, "g": np.inf, "o": 3}

    def said(intact, after, steps):
        return lstm_gates.answers(Settings(), intact, after, steps)["U6"]

    intact = np.array([1.0, np.nan, 1.0])
    answer = said(intact, after, steps)
    assert "holding i at 1 leaves 98.0 % (guessing: 10%) and holding g at 1 leaves 0.0 % (guessing: 10%)" in answer
    assert "and holding f or o at 1 costs at most 1%." in answer and "to forget nothing" in answer
    assert "faster where i is held from the start and more slowly where g or o is held from the start." in answer
    assert answer.endswith("has solved the task after 2 steps, trained with i held after 1, f 2, g never, o 3.")
    answer = said(intact, dict.fromkeys("ifgo", intact), dict.fromkeys(steps, 7))
    assert "holding i, f, g or o at 1 costs at most 1%." in answer and "Networks learn" not in answer
    assert "to forget nothing" not in said(intact, after | {"f": [0.5]}, steps)
    assert "Nothing follows" in said(np.array([0.1, 0.11]), after, steps)


def tiny(out, *options):
    given = ["--quick", "--hidden", "4", "--length", "3", "--steps", "4", "--every", "2", "--seeds", "2", *options]
    return command("lstm_gates", Settings, lstm_gates.main, [*given, "--out", str(out)])


@pytest.mark.slow
def test_what_the_command_leaves(tmp_path):
    assert tiny(tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    held = {f"{gate}{when}_held_test_accuracy" for gate in GATES for when in ("", "_trained")}
    learned = {"intact_solved_at_step"} | {f"{gate}_trained_held_solved_at_step" for gate in GATES}
    ends = {f"{letter}_at_{end}_digit" for letter in "ifgoc" for end in ("first", "last")}
    assert set(result["metrics"]) == {"runs", "intact_test_accuracy"} | held | learned | ends
    assert all(len(result["metrics"][name]["runs"]) == 2 for name in held)
    assert result["metrics"]["runs"]["mean"] == 10
    files = {path.name for path in (tmp_path / "run").glob("*.png")}
    assert files == {"ablation.png", "curves.png", "gates.png", "gates_over_time.png"}


def test_without_an_intact_network_that_came_through_there_is_nothing_to_hold(tmp_path):
    lost = SimpleNamespace(points=[{"hold": "none"}, {"hold": "i"}], values=lambda *wanted: np.full(2, np.nan))
    with pytest.raises(UserError, match="no intact network was trained to its end"):
        lstm_gates.find(Settings(), lost, tmp_path)


def test_settings_that_make_no_sense_are_one_line_and_2(tmp_path, capsys):
    assert tiny(tmp_path / "run", "--length", "2") == 2
    assert "--length must be at least 3" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="the gates are an LSTM's, and the cell is gru"):
        lstm_gates.study(GateSettings(cell="gru"))
