"""What `time_gate` measures is what it says, and settings that make no sense are one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import hidden_period, time_gate
from experiments.frequency import FREQUENCY, FrequencySettings, study, without_leak
from experiments.hidden_period import EVERY, Recovery
from experiments.time_gate import Race, Settings, copying, slopes
from jaxrnn.command import command
from jaxrnn.data import sines, windows
from jaxrnn.errors import SettingsError
from jaxrnn.study import run_keys
from jaxrnn.sweeps.outcome import Swept
from jaxrnn.train import abstract_runs, start

MODEL_KEY = run_keys(0, np.arange(1))[0]


def model_of(settings):
    made = study(settings)
    return made, start(made.task, MODEL_KEY, made.hparams, jax.tree.map(lambda a: a[:1], made.evals["test"])).model


def test_a_closed_gate_keeps_states_and_slopes_to_the_bit():
    kept = copying(units=6, steps=60, tau=20.0, r_on=0.2)
    assert kept.change == 0 and kept.slope_error == 0
    opened, states = np.asarray(kept.opened), kept.states["time-gated LSTM"]
    between = np.arange(1, 61) % 20 % 4 != 0  # at a corner rounding may go either way
    np.testing.assert_array_equal((opened > 0)[between], [step % 20 < 4 for step in np.arange(1, 61)[between]])
    moved = np.diff(states) != 0
    assert not moved[opened[1:] == 0].any() and moved[opened[1:] > 0.1].all()
    for network, share in kept.kept.items():
        assert share[-1] == 1 and np.all(np.diff(np.abs(share)) >= 0), network
    assert kept.kept["time-gated LSTM"][0] > 1e6 * kept.kept["LSTM"][0]


def test_slopes_are_the_closed_form():
    """dk/dtau = -+2 (t - s) / (r_on tau^2), dk/ds = -+2 / (r_on tau), dk/dr_on = -+2 phi / r_on^2, and else 0."""
    found, tau, s, r_on = slopes(), 8.0, 2.0, 0.5
    t = np.asarray(found.times)
    phi = np.mod(t - s, tau) / tau
    sign = np.where(phi < r_on / 2, -1, np.where(phi < r_on, 1, 0))
    expected = {
        r"\tau": sign * 2 * (t - s) / (r_on * tau**2),
        "s": sign * 2 / (r_on * tau) * np.ones_like(t),
        r"r_{on}": sign * 2 * phi / r_on**2,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found.gradients[name], values, atol=2e-5, err_msg=name)
    assert found.closed == 0 and 0 < slopes(leak=0.001).closed < 0.01


@pytest.mark.parametrize("cell, inputs", [("lstm", 2), ("time_gated_lstm", 1)])
def test_both_networks_read_waves_of_any_length(cell, inputs):
    """What is behind a wave's end is not read."""
    made, model = model_of(FrequencySettings(cell=cell, hidden=4, steps=4, every=2, batch=8))
    assert model.layers.in_features == inputs
    (values, times, lengths), labels = jax.tree.map(lambda a: jnp.asarray(a[:6]), made.evals["test"])

    @jax.jit
    def loss(model, x):
        return made.task.objective(model, x, labels, made.hparams, None)["loss"]

    beyond = jnp.arange(values.shape[1])[:, None] >= lengths[:, None, None]
    spoilt = jnp.where(beyond, jnp.nan, values), jnp.where(beyond, jnp.nan, times), lengths
    np.testing.assert_array_equal(loss(model, spoilt), loss(model, (values, times, lengths)))


def test_the_leak_is_for_training_alone():
    made, model = model_of(FrequencySettings(hidden=4, steps=4, every=2, leak=0.3))
    batch = jax.tree.map(lambda a: jnp.asarray(a[:8]), made.evals["test"])
    tested = made.task.objective(model, *batch, made.hparams, None)["loss"]
    trained = made.task.objective(model, *batch, made.hparams, jax.random.key(0))["loss"]
    assert np.abs(tested - trained).max() > 1e-4
    np.testing.assert_array_equal(made.task.objective(without_leak(model), *batch, made.hparams, None)["loss"], tested)
    assert model.layers.layers[0].cell.leak == 0.3  # and the network itself is as it was


def test_the_gates_of_the_waves_begin_as_in_the_paper():
    _, model = model_of(FrequencySettings(hidden=500, steps=4, every=2))
    cell = model.layers.layers[0].cell
    assert 2.7 < cell.tau.min() < 3 and 19 < cell.tau.max() < 20.1
    assert 0 <= cell.s[...].min() < 3 and 120 < cell.s[...].max() <= 125
    np.testing.assert_allclose(cell.r_on, 0.1, rtol=1e-5)


def test_a_study_of_pairs_has_a_summary():
    made = study(FrequencySettings(hidden=4, steps=4, every=2))
    model = abstract_runs(made.task, MODEL_KEY, made.hparams, made.train).model
    assert [row.input for row in made.summary(model)] == ["125 x 1", "4"]


@pytest.mark.slow
def test_the_hidden_period_is_looked_for_and_the_unit_that_moves_the_output_read():
    found = hidden_period.recover(0, 2, 2 * EVERY, progress=False)
    assert found.steps == [0, EVERY, 2 * EVERY] and found.taus.shape == (3, 2, hidden_period.UNITS)
    assert np.all(found.taus[0] > 2.7) and np.all(found.taus[0] < 20.1)
    assert np.all(found.taus[0] != found.taus[-1])  # every unit's period is learned
    assert np.all(found.mse < 0.25)  # the variance of the targets is 0.3
    shifted = found._replace(taus=np.full_like(found.taus, windows.PERIOD * 1.02))
    np.testing.assert_allclose(shifted.error, 0.02, rtol=1e-5)


def test_reached_is_the_first_epoch_at_a_level():
    history = [
        {"run": run, "epoch": epoch, "a": value}
        for run, values in enumerate([[0.1, 0.9, 0.8], [0.2, 0.3, 0.4], [0.95, 0.1, 0.1], [0.5, 0.5, 0.9]])
        for epoch, value in enumerate(values, 1)
    ]
    swept = Swept([{}, {}], 2, [], {}, [], history, "a", True)
    np.testing.assert_array_equal(swept.reached(0, "a", 0.9), [2, np.nan])
    np.testing.assert_array_equal(swept.reached(1, "a", 0.9), [1, 3])
    assert np.isnan(swept.reached(1, "b", 0.0)).all()


def test_answers_say_what_was_measured():
    recovery = Recovery([0], np.full((1, 3, 2), 8.0) * [[[1.0], [1.1], [1.01]]], np.zeros(3, int), np.ones(3))
    race = Race(
        {"lstm": {50: [0.5]}, "time_gated_lstm": {50: [0.7]}},
        {"lstm": np.array([0.71]), "time_gated_lstm": np.array([0.93])}, {},
    )  # fmt: skip
    lost = race._replace(test={"lstm": np.array([0.8]), "time_gated_lstm": np.array([0.8])})
    shown = Settings(), copying(4, 45), slopes(), recovery
    said = time_gate.answers(*shown, {"asynchronous": race, "regular": lost})
    assert set(said) == {"U9", "U10", "U11"}
    assert said["U10"].endswith("is higher where samples come at random times (in every run) and no higher where "
                                "samples come every ms.")  # fmt: skip
    assert time_gate.answers(*shown, {"regular": lost})["U10"].endswith("is no higher where samples come every ms.")
    close = race._replace(test={"lstm": np.array([0.7, 0.8]), "time_gated_lstm": np.array([0.78, 0.79])})
    assert time_gate.answers(*shown, {"regular": close})["U10"].endswith("is higher where samples come every ms.")
    assert "within 2% of it in 2; the median error is 1.00%" in said["U11"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--interval", "2"], "--interval must be above 0 and at most 1 ms, not 2.0"),
        (["--r-on", "1"], "--r-on must be above 0 and below 1, not 1.0"),
        (["--leak", "-1"], "--leak must lie between 0 and 1, not -1.0"),
        (["--hidden", "0"], "--hidden must be at least 1, not 0"),
        (["--network-steps", "3"], "--network-steps must be a multiple of 50, not 3"),
        (["--network-steps", "0"], "--network-steps must be at least 1, not 0"),
        (["--quick", "--full"], "give --quick or --full, not both"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(options, words, tmp_path, capsys):
    assert command("time_gate", Settings, time_gate.main, [*options, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and words in said.err
    assert not (tmp_path / "run").exists()
    if options[0] in ("--interval", "--r-on"):
        name, value = options[0].strip("-").replace("-", "_"), float(options[1])
        with pytest.raises(SettingsError):
            FrequencySettings(**{name: value}).check()


def test_full_is_the_paper_s_size_and_what_is_typed_goes_before_it():
    seen = []
    command("time_gate", Settings, lambda name, settings: seen.append(settings), ["--full", "--hidden", "64"])
    (settings,) = seen
    assert settings.full and settings.hidden == 64 and settings.seeds == 5 and settings.interval == 0.1
    assert sines.steps(settings.interval) == 1250 and FREQUENCY.settings is FrequencySettings
