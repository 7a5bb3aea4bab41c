"""Asking a trained language model: what it writes, what is counted in that, and which of its units are shown.

The runs asked here are not trained: a network that always says what comes next, and random ones.
"""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import text_generation, text_neurons, text_temperatures, texts
from experiments.text_generation import GenerationSettings, ask, best, encoded, stream
from experiments.texts import TextSettings, Trained
from jaxrnn.command import command, config
from jaxrnn.data.text import of_documents
from jaxrnn.errors import DataError, SettingsError
from jaxrnn.generate import Greedy, Temperature, TopK, generate
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel

TEXT = of_documents(['Say "a b c" to <Ann> 12 times.\nThen go, and say it again: a fox, a dog & a cat.\n'] * 9, "", "")
VOCABULARY = TEXT.vocabulary


@pytest.fixture(scope="module")
def model():
    rngs = nnx.Rngs(0)
    model = LanguageModel(stack("lstm", VOCABULARY.size, [7, 6], init="pytorch", rngs=rngs), rngs=rngs)
    model.head.kernel[...] *= 5
    return model


class Alphabet(nnx.Module):
    """Says that the next character of the vocabulary comes next, and after the last one that unknown."""

    def read(self, ids, *, carry):
        return carry, 50 * jax.nn.one_hot(ids + 1, VOCABULARY.size)

    def initial_carry(self, batch_shape):
        return jnp.zeros(batch_shape)

    def __call__(self, ids):
        return self.read(ids, carry=None)[1]


@pytest.fixture
def run(monkeypatch, model, tmp_path):
    """A folder with a run of two models, the second of which did better; what the command does when asked."""
    broken = jax.tree.map(jnp.zeros_like, model)
    models = jax.tree.map(lambda *leaves: jnp.stack(leaves), broken, model)
    history = [{"epoch": 1, "run": run, "test_loss": loss} for run, loss in enumerate([3.0, math.nan, 2.0])]
    monkeypatch.setattr(texts, "restore", lambda name, out: Trained(models, VOCABULARY, TextSettings(), "a text"))
    monkeypatch.setattr(texts, "load", lambda settings: TEXT)
    monkeypatch.setattr(text_generation, "trained", lambda name, out: {"history": history})
    return lambda *words: command("char_lm", GenerationSettings, ask, ["--generate", str(tmp_path), *map(str, words)])


# Writing.


def test_what_is_printed_is_what_is_drawn_in_one_piece(run, model, capsys):
    words = ("--prime", "Say", "--length", 120, "--temperature", 0.8, "--top-k", 5, "--top-p", 0.9, "--samples", 2)
    assert run(*words, "--seed", 3) == 0
    said = capsys.readouterr().out
    prime = VOCABULARY.encode("Say").astype(np.int32)
    for sample in range(2):
        key = jax.random.fold_in(jax.random.key(3), sample)
        samplers = (Temperature(0.8), TopK(5), text_generation.TopP(0.9))
        _, ids = generate(model, key, prime, 120, samplers, allowed=VOCABULARY.known)
        assert f"Sample {sample + 1} of 2, temperature 0.8, top-k 5, top-p 0.9:\nSay{VOCABULARY.decode(ids)}\n" in said


def test_greedy_is_written_once(run, model, capsys):
    assert run("--prime", "Say", "--length", 20, "--temperature", 0, "--samples", 5) == 0
    said = capsys.readouterr().out
    prime = VOCABULARY.encode("Say").astype(np.int32)
    _, ids = generate(model, jax.random.key(9), prime, 20, Greedy(), allowed=VOCABULARY.known)
    assert said == f"Sample 1 of 1, greedy:\nSay{VOCABULARY.decode(ids)}\n\n"


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_a_text_is_the_same_in_parts_of_any_size(chunk):
    parts = list(stream(Alphabet(), VOCABULARY, jax.random.key(0), np.array([0, 1]), 16, (), chunk))
    assert "".join(parts) == VOCABULARY.characters[2:18] and len(parts) == -(-16 // chunk)


def test_the_unknown_character_is_never_written():
    last = np.array([VOCABULARY.unknown - 1])
    assert VOCABULARY.decode([VOCABULARY.unknown]) not in "".join(
        part for key in range(20) for part in stream(Alphabet(), VOCABULARY, jax.random.key(key), last, 1, (), 1)
    )


def test_a_beam_is_shown_best_first(run, capsys):
    assert run("--prime", "Say", "--length", 5, "--beam", 4, "--samples", 3) == 0
    said = capsys.readouterr().out
    bits = [float(line.split(", ")[1].split()[0]) for line in said.splitlines() if line.startswith("Text ")]
    assert bits == sorted(bits) and len(bits) == 3 and said.count("Say") == 3


def test_the_run_with_the_lowest_held_out_loss_is_asked(run, model, tmp_path):
    chosen = best("char_lm", texts.restore("char_lm", tmp_path), tmp_path)
    np.testing.assert_array_equal(chosen.head.kernel, model.head.kernel)


def test_settings_of_asking_are_not_the_run_s():
    assert set(config(GenerationSettings())) == set(config(TextSettings()))


@pytest.mark.parametrize(
    "words, said",
    [
        (["--prime", "Say Я"], "--prime: the text that was trained on lacks 'Я'"),
        (["--prime", ""], "--prime must be at least one character"),
        (["--prime", "Я", "--unknown", "skip"], "--prime must be at least one character"),
        (["--view", "Я"], "--view: the text that was trained on lacks 'Я'"),
        (["--temperature", "-1"], "--temperature must be at least 0, not -1"),
        (["--temperature", "nan"], "--temperature must be at least 0, not nan"),
        (["--top-k", "0"], "--top-k must be at least 1, not 0"),
        (["--top-p", "1.5"], "--top-p must be above 0 and at most 1, not 1.5"),
        (["--samples", "0"], "--samples must be at least 1, not 0"),
        (["--beam", "0"], "--beam must be at least 1, not 0"),
        (["--length", "0"], "--length must be at least 1, not 0"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(run, words, said, capsys):
    assert run(*words) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""


def test_unknown_characters_are_named_or_left_out():
    with pytest.raises(SettingsError, match="lacks '\\?' 'é'; leave them out yourself, or by --unknown skip"):
        encoded(VOCABULARY, "né?a", "error", "--prime")
    assert VOCABULARY.decode(encoded(VOCABULARY, "né?a", "skip", "--prime")) == "na"


def test_another_text_is_not_taken_for_that_trained_on(run, monkeypatch, capsys):
    monkeypatch.setattr(texts, "load", lambda settings: of_documents(["another"] * 3, "a file", ""))
    assert run("--prime", "Say", "--compare") == 2
    assert "a file is not the text any more that the run was trained on" in capsys.readouterr().err
    with pytest.raises(DataError):
        text_generation._text(Trained(None, VOCABULARY, TextSettings(), ""))


# Temperatures.


def test_texts_at_several_temperatures_stand_side_by_side(run, tmp_path, capsys):
    assert run("--prime", "Say", "--compare") == 0
    written = (tmp_path / "temperatures.md").read_text()
    assert "2,000 characters in each way, all from the prime 'Say'" in written
    assert [line.split(" | ")[0] for line in written.splitlines() if line.startswith("| ")][2:] == [
        "| greedy", "| temperature 0.5", "| temperature 1", "| temperature 2",
    ]  # fmt: skip
    assert "greedy" in capsys.readouterr().out and "nan%" not in written


def test_what_is_counted_of_a_text_known_by_heart():
    counted = text_temperatures.measure(Alphabet(), VOCABULARY, TEXT, jax.random.key(0), np.array([0]), 10)
    assert [one.way for one in counted] == ["greedy", "0.5", "1", "2"]
    for one in counted:
        assert one.text == VOCABULARY.characters[1:11] and list(one.distinct) == [1, 1, 1, 1]
        assert one.entropy == pytest.approx(0, abs=1e-3)
        assert one.copied in VOCABULARY.decode(TEXT.train) and one.copied in one.text
    said = text_temperatures.answer(counted)
    assert f"greedy “{VOCABULARY.characters[1:11]}”" in said and "temperature 2" in said


def test_entropy_is_that_of_what_is_drawn_from(model):
    ids, allowed = jnp.arange(5), VOCABULARY.known
    shares = np.asarray(jax.nn.softmax(model(ids[:-1])[:, :-1] / 2), float)
    found = text_temperatures.entropies(model, ids, Temperature(2.0), allowed)
    np.testing.assert_allclose(found, -(shares * np.log2(shares)).sum(1), rtol=1e-4)
    np.testing.assert_array_equal(text_temperatures.entropies(model, ids, Greedy(), allowed), np.zeros(4))


def test_distinct_runs_of_characters_and_words():
    assert [text_temperatures.distinct("abab", n) for n in range(1, 5)] == [1 / 2, 2 / 3, 1, 1]
    assert math.isnan(text_temperatures.distinct("abc", 4))
    assert text_temperatures.words_of("Don't say été_2x") == ["don", "t", "say", "été", "x"]


# Neurons.


def test_hidden_units_are_drawn_over_a_text(run, model, tmp_path, capsys):
    assert run("--view", 'Say <Ann> & "a') == 0
    assert (tmp_path / "neurons.png").stat().st_size > 10_000
    page = (tmp_path / "neurons.html").read_text()
    assert "&lt;" in page and "<Ann>" not in page and "capital" in capsys.readouterr().out


def test_a_unit_is_chosen_that_goes_with_its_feature(model):
    ids = TEXT.train.astype(np.int32)
    text = VOCABULARY.decode(ids)
    units = text_neurons.chosen(model, VOCABULARY, ids)
    assert [unit.feature for unit in units] == list(text_neurons.features(text))
    assert len({(unit.layer, unit.number) for unit in units}) == len(units)
    _, low = model.layers.layers[0](jnp.asarray(ids)[:, None])
    _, high = model.layers.layers[1](low)
    first = text_neurons.features(text)["space or line break"]
    every = np.array([np.corrcoef(first, column)[0, 1] for column in np.concatenate([low, high], 1).T])
    place = (units[0].layer - 1) * 7 + units[0].number
    assert np.abs(every).argmax() == place and units[0].correlation == pytest.approx(every[place], rel=1e-4)


def test_features_by_hand():
    found = {name: values.tolist() for name, values in text_neurons.features('A "b,\n1c').items()}
    assert found == {
        "space or line break": [0, 1, 0, 0, 0, 1, 0, 0],
        "capital": [1, 0, 0, 0, 0, 0, 0, 0],
        "inside quotes": [0, 0, 1, 1, 1, 1, 1, 1],
        "punctuation": [0, 0, 1, 0, 1, 0, 0, 0],
        "digit": [0, 0, 0, 0, 0, 0, 1, 0],
        "place in the line": [0, 1, 2, 3, 4, 0, 1, 2],
        "place in the word": [0, 0, 0, 1, 0, 0, 1, 2],
    }


def test_quotes_are_of_either_kind_and_an_apostrophe_ends_none():
    inside = text_neurons.features('‘Don’t go,’ he said: “Yes”, "no".')["inside quotes"]
    assert "".join(str(int(flag)) for flag in inside) == "1111111111000000000001111000111000"[: len(inside)]


def test_what_is_expected_is_the_likeliest_first():
    logits = np.log(np.full((1, VOCABULARY.size), 0.01))
    logits[0, [3, 1]] = np.log([0.5, 0.25])
    ((first, half), (second, quarter), *rest) = text_neurons.likeliest(VOCABULARY, logits)[0]
    assert (first, second) == (VOCABULARY.characters[3], VOCABULARY.characters[1])
    assert half == pytest.approx(2 * quarter, rel=1e-5) and len(rest) == 3


@pytest.mark.slow
def test_a_run_trained_by_the_command_writes_on(tmp_path, capsys):
    from experiments import char_lm

    out = tmp_path / "run"

    def asked(*words):
        return command("char_lm", char_lm.Settings, char_lm.main, [str(word) for word in words])

    assert asked("--quick", "--steps", "100", "--every", "20", "--out", out) == 0
    capsys.readouterr()
    assert asked("--generate", out, "--length", "130", "--prime", "The list is", "--samples", "2") == 0
    said = capsys.readouterr().out
    assert said.count("The list is") == 2 and len(said) > 2 * 141
    assert asked("--generate", out, "--view", 'The "list" is') == 0
    assert {"neurons.html", "neurons.png"} < {path.name for path in out.iterdir()}
    assert json.loads((out / "result.json").read_text())["config"].get("generate") is None
