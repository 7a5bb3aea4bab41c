"""Sentences judged by their characters: dropout, padding and masking, and the numbers that the command leaves."""

import csv
import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import character_regularisers, character_trained, characters
from experiments.character_sentiment import EXPERIMENT, TESTED, answers, main, study
from experiments.characters import CharacterSettings, convention
from jaxrnn.cells import CELLS
from jaxrnn.command import command
from jaxrnn.data import sentences
from jaxrnn.data.sentences import NOTHING, SPACE, encode
from jaxrnn.models import parameter_count
from jaxrnn.runfolder import read_json
from jaxrnn.study import hparams_of
from jaxrnn.train import abstract_runs, start
from jaxrnn.wrappers import WRAPPERS
from runs import contents


@cache
def model_of(**settings):
    asked = CharacterSettings(**settings)
    made = study(asked)
    run = start(made.task, jax.random.key(3), made.hparams, jax.tree.map(lambda a: a[:1], made.train))
    return made, run.model


def test_the_paper_s_network_has_1042_parameters():
    made, model = model_of()
    assert parameter_count(model) == 1042 and parameter_count(model.head) == 22
    assert [row.input for row in made.summary(model)] == ["40 x 22", "10"]


def test_dropout_is_on_the_last_hidden_state_alone():
    """Of one hidden unit the logits with dropout are two: of nothing, and of the unit as large as 1 / (1 - rate)."""
    made, model = model_of(hidden=1)
    ids = jnp.asarray(made.train[0][:1])
    bias, whole = model.head.bias[...], model(ids)[0]
    keys = jax.random.split(jax.random.key(0), 4000)
    logits = np.asarray(jax.vmap(lambda key: model(ids, key=key, dropout=0.7)[0])(keys))
    dropped = np.isclose(logits, bias).all(1)
    np.testing.assert_allclose(logits[~dropped], np.tile(bias + (whole - bias) / 0.3, (sum(~dropped), 1)), rtol=1e-4)
    assert abs(dropped.mean() - 0.7) < 5 * np.sqrt(0.7 * 0.3 / 4000)
    np.testing.assert_array_equal(model(ids, dropout=0.7)[0], whole)  # without a key, as in evaluation, nothing is


def test_both_conventions_name_the_same_dropout():
    judged = []
    for settings in (CharacterSettings(), CharacterSettings(dropout=0.3, dropout_convention="keep")):
        made, model = model_of(dropout=settings.dropout, dropout_convention=settings.dropout_convention)
        judged.append(made.task.objective(model, *made.train, hparams_of(settings), jax.random.key(1)))
    jax.tree.map(np.testing.assert_array_equal, *judged)
    assert convention(CharacterSettings()) == (
        "Dropout with p = 0.7 as the probability to drop a hidden unit (--dropout-convention drop): in a training step "
        "the output layer reads of a sentence 3 of the 10 units on average, and none with probability 0.028."
    )
    assert "7 of the 10 units" in convention(CharacterSettings(dropout_convention="keep"))


def test_padding_is_spaces_or_nothing():
    _, model = model_of()
    for text in ("Good to see that movie", "a", "I thought they could show interesting scenes"):
        spaces = model(encode(text.ljust(40)[:40])[None])
        np.testing.assert_array_equal(model(encode(text, SPACE)[None]), spaces)
        masked = encode(text, NOTHING)
        alone = model(masked[None, : len(text)])
        np.testing.assert_allclose(model(masked[None]), alone, rtol=1e-6)
        np.testing.assert_allclose(model.at_every_step(masked[None])[:, min(len(text), 40) - 1], alone, rtol=1e-6)


def test_what_is_measured_of_each_test_sentence():
    made, model = model_of()
    one, two = (made.task.objective(model, *made.evals[f"test_{place}"], made.hparams, None) for place in (1, 2))
    both = made.task.objective(model, *made.evals["test"], made.hparams, None)
    for key, values in both.items():
        np.testing.assert_allclose(values, [one[key][0], two[key][0]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(-both["loss"]), [1 - both["positive"][0], both["positive"][1]], rtol=1e-5)
    assert [(one.label, one.printed) for one in TESTED] == [(0, 0.9881), (1, 0.5641)]
    assert TESTED[0].right([0.9, 0.1, np.nan]) == "1 of 2" and TESTED[1].right([0.9, 0.8]) == "2 of 2"


QUICK = ("--quick", "--epochs", "4", "--hidden", "3")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("sentiment") / "run"
    assert command("character_sentiment", CharacterSettings, main, [*QUICK, "--out", str(out)]) == 0
    return out, json.loads((out / "result.json").read_text())


def test_a_run_leaves_likelihoods_curves_and_the_comparison(finished):
    out, result = finished
    assert {path.name for path in out.iterdir()} >= {
        "learning_curves.png", "likelihoods.png", "regularisers.png", "regularisers.csv", "history.csv", "checkpoint",
    }  # fmt: skip
    assert result["dataset"]["train"] == 11 and result["dataset"]["test"] == 2
    metrics = {name: np.array(metric["runs"]) for name, metric in result["metrics"].items()}
    right = 11 * metrics["train_accuracy"]  # every sentence counts, and counts once
    np.testing.assert_allclose(right, np.rint(right), atol=1e-5)
    positive = np.stack([metrics["test_1_positive"], metrics["test_2_positive"]])
    cost = -np.log(np.stack([1 - positive[0], positive[1]])).mean(0)
    np.testing.assert_allclose(metrics["test_loss"], cost, rtol=1e-4)
    np.testing.assert_allclose(metrics["test_accuracy"], ((positive > 0.5) == [[False], [True]]).mean(0))
    assert {row["metric"]: row["value"] for row in result["reference"]} == {
        "test_1_positive": 0.9881, "test_2_positive": 0.5641,
    }  # fmt: skip
    for values, (text, _), printed in zip(positive, sentences.TEST, (0.9881, 0.5641), strict=True):
        assert f"{np.median(values):.4f} for {text!r} (the tutorial prints {printed};" in result["answers"]["N6"]


def test_the_comparison_has_the_run_itself_and_what_it_differs_in(finished):
    out, result = finished
    ways = result["regularisers"]
    assert list(ways) == ["nothing", "padding masked", "dropout 0.7", "dropout 0.7, padding masked"]
    for metric, values in ways["dropout 0.7"].items():
        assert values["runs"] == pytest.approx(result["metrics"][metric]["runs"], rel=1e-4)
    costs = [tuple(values["test_loss"]["runs"]) for values in ways.values()]
    assert len(set(costs)) == 4
    with open(out / "regularisers.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["way"], row["run"]) for row in rows] == [(way, str(run)) for way in ways for run in (0, 1)]


def test_a_sentence_of_the_paper_s_is_judged_as_in_the_result(finished, capsys):
    out, result = finished
    before = contents(out)
    text = TESTED[0].text
    found = character_trained.judge("character_sentiment", text, out)
    assert found.shape == (2, 40, 2)
    assert found[:, -1, 1] == pytest.approx(result["metrics"]["test_1_positive"]["runs"], rel=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    middle = np.median(found[:, -1, 1])
    said = capsys.readouterr().out
    assert f"{text!r}: {{negative: {1 - middle:.4f}, positive: {middle:.4f}}}" in said
    assert before.items() <= contents(out).items()
    assert (out / "sentence_the_movie_was_not_interesting_to_me.png").exists()


def ask(out, *options):
    return command("character_sentiment", CharacterSettings, main, ["--out", str(out), *options])


def test_a_long_sentence_is_said_to_be_cut(finished, capsys):
    out, _ = finished
    assert ask(out, "--sentence", "I liked the movie with great interest and more") == 0
    said = capsys.readouterr().out
    assert "Of the 46 characters the first 40 are read: 'I liked the movie with great interest an'" in said


@pytest.mark.parametrize(
    "options, words",
    [
        (["--sentence", "What a quiz, 5!"], "'q', 'z', ',', '5', '!' in the sentence"),
        (["--sentence", ""], "a sentence needs at least one character"),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1 where it is the probability to drop"),
        (["--dropout", "0", "--dropout-convention", "keep"], "--dropout must be above 0 and at most 1"),
        (["--dropout", "nan"], "--dropout must be at least 0"),
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--learning-rate", "0"], "--learning-rate must be above 0"),
        (["--epochs", "0"], "--epochs must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(finished, capsys, options, words):
    out, _ = finished
    before = contents(out)
    assert ask(out, *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said and said.startswith("python -m experiments.character_sentiment: ")
    assert contents(out) == before


def test_no_run_is_no_answer(tmp_path, capsys):
    assert ask(tmp_path / "nowhere", "--sentence", "good") == 2
    assert "there is no trained run in" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_a_run_stopped_amid_the_comparison_is_gone_on_with(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(character_regularisers, "_train", lambda *_: None)
    assert ask(tmp_path / "run", *QUICK) == 130
    assert "those that they are compared with are not" in capsys.readouterr().err
    monkeypatch.undo()
    assert ask(tmp_path / "run", *QUICK, "--resume") == 0
    resumed = read_json(tmp_path / "run" / "result.json")
    for part in ("metrics", "regularisers", "answers"):
        assert resumed[part] == finished[1][part]


def test_every_wrapper_is_compared():
    ways = character_regularisers.ways(CharacterSettings())
    assert {"variational dropout 0.25", "zoneout 0.1", "layer norm"} <= {*ways} and len(ways) == 4 + len(WRAPPERS)
    assert all(way.settings.dropout == 0 and not way.settings.mask for way in list(ways.values())[4:])
    undropped = character_regularisers.ways(CharacterSettings(dropout=0.0, quick=True))
    assert [*undropped] == ["nothing", "padding masked"]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_trained_in_every_way(cell):
    for way in character_regularisers.ways(CharacterSettings(cell=cell)).values():
        made = characters.study(*way)
        run = abstract_runs(made.task, jax.random.key(0), made.hparams, made.train)
        key = jax.random.key(0)
        judged = jax.eval_shape(made.task.objective, run.model, *made.train, made.hparams, key)
        assert {name: values.shape for name, values in judged.items()} == dict.fromkeys(judged, (11,))


@pytest.mark.slow
def test_the_paper_s_settings_learn_the_sentences(tmp_path):
    """As measured: each network has all eleven right, or all but one."""
    assert ask(tmp_path / "run") == 0
    result = read_json(tmp_path / "run" / "result.json")
    assert min(result["metrics"]["train_accuracy"]["runs"]) > 0.9
    assert len(result["regularisers"]) == 7
    for way in result["regularisers"].values():
        assert np.median(way["train_accuracy"]["runs"]) > 7 / 11


def test_the_answer_survives_runs_that_failed():
    class Failed:
        metrics = dict.fromkeys(
            ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "test_1_positive", "test_2_positive"],
            np.array([np.nan, np.nan]),
        )

    assert "0 of 2 judge both right" in answers(CharacterSettings(), Failed(), 1042)["N6"]
    assert EXPERIMENT.study(CharacterSettings(mask=True)).train[0].min() == NOTHING == sentences.NOTHING
