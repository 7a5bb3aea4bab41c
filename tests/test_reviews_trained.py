"""What trained networks say of a sentence word by word: the numbers, what is printed, and what cannot be judged."""

import re

import jax
import numpy as np
import pytest

from experiments import imdb_bilstm, imdb_gru, imdb_mlp, imdb_rnn, reviews_recurrent, reviews_trained, verdicts
from jaxrnn.command import command
from jaxrnn.data.tokens import Words, tokens
from jaxrnn.study import hparams_of, restore_models, trained
from runs import contents

TINY = ("--quick", "--dataset", "synthetic", "--length", "12", "--hidden", "4", "--embedding", "4", "--epochs", "2")


def recurrent_main(module):
    return lambda name, settings: reviews_recurrent.main(module.study, name, settings)


COMMANDS = {
    "imdb_gru": (imdb_gru.Settings, recurrent_main(imdb_gru), reviews_recurrent.task),
    "imdb_rnn": (imdb_rnn.Settings, recurrent_main(imdb_rnn), reviews_recurrent.task),
    "imdb_bilstm": (imdb_bilstm.Settings, recurrent_main(imdb_bilstm), reviews_recurrent.task),
    "imdb_mlp": (imdb_mlp.Settings, imdb_mlp.main, imdb_mlp.task),
}


def run(name, out, *options):
    kind, main, _ = COMMANDS[name]
    return command(name, kind, main, ["--out", str(out), *options])


@pytest.fixture(scope="module")
def gru(tmp_path_factory):
    """The folder of three small GRUs, and the best weights of each."""
    out = tmp_path_factory.mktemp("reviews") / "run"
    options = ["--seeds", "3", "--layers", "1", "--validation", "64", "--patience", "1"]
    assert run("imdb_gru", out, *TINY, *options) == 0
    return out


def of_whole_rows(name, out, text):
    """What the models in a folder say of a text as one row, likelihoods of positive ``(runs,)``."""
    kind, _, make_task = COMMANDS[name]
    meta = trained(name, out)
    settings, vocabulary = kind(**meta["config"]), Words(tuple(meta["notes"]["words"]))
    task = make_task(settings, vocabulary.size)
    models = restore_models(out, task, hparams_of(settings), meta, keep_best=settings.patience > 0)
    row = vocabulary.encode(tokens(text), settings.length)
    logits = np.asarray(jax.vmap(lambda model: model(row[None]))(models))
    return 1 / (1 + np.exp(-logits[:, 0, 0]))


def assert_every_beginning_is_judged_as_a_row(name, out, text):
    kind, _, make_task = COMMANDS[name]
    found = reviews_trained.judge(name, kind, make_task, text, out)
    words = text.split()
    assert found.shape[1] == len(words)
    for end in range(1, len(words) + 1):
        np.testing.assert_allclose(found[:, end - 1], of_whole_rows(name, out, " ".join(words[:end])), rtol=1e-5)
    return found


def test_every_beginning_is_judged_as_a_row_of_its_own(gru, capsys):
    before = contents(gru)
    found = assert_every_beginning_is_judged_as_a_row("imdb_gru", gru, "the movie was not good")
    assert len(found) == 3
    middle, low, high = np.median(found[:, -1]), found[:, -1].min(), found[:, -1].max()
    said = capsys.readouterr().out
    assert "unknown" not in said and "sentence_the_movie_was_not_good.png" in said.replace("\n", "")
    said = said.replace("\n", " ")
    assert f"'the movie was not good': {{negative: {1 - middle:.4f}, positive: {middle:.4f}}}" in said
    assert f"median of 3 runs; positive from {low:.4f} to {high:.4f}, and {(found[:, -1] > 0.5).sum()} of 3" in said
    assert before.items() < contents(gru).items() and (gru / "sentence_the_movie_was_not_good.png").exists()


@pytest.mark.parametrize(
    "name, options",
    [
        ("imdb_mlp", ["--input", "embed-flat"]),
        pytest.param("imdb_gru", ["--carry-state", "--pool", "max", "--schedule", "cosine"], marks=pytest.mark.slow),
        pytest.param("imdb_rnn", ["--buckets", "2"], marks=pytest.mark.slow),
        pytest.param("imdb_bilstm", [], marks=pytest.mark.slow),
    ],
)
def test_every_network_is_asked_as_it_was_trained(tmp_path, name, options):
    assert run(name, tmp_path / "run", *TINY, "--seeds", "1", "--epochs", "1", *options) == 0
    found = assert_every_beginning_is_judged_as_a_row(name, tmp_path / "run", "a story so moving")
    assert found.shape == (1, 4)


def test_unknown_words_are_named_once(gru, capsys):
    text = "The <br /> zebra saw a [red]zebra: 42 Übermut!"
    assert run("imdb_gru", gru, "--sentence", text) == 0
    said = capsys.readouterr().out
    assert "'the zebra saw a redzebra 42 übermut': {negative: " in said
    assert re.findall("read as unknown: (.*)", said) == ["'zebra', 'redzebra', '42', 'übermut'"]


def test_a_long_text_is_said_to_be_cut(gru, capsys):
    words = [f"word{number}" for number in range(15)]
    assert run("imdb_gru", gru, "--sentence", " ".join(words)) == 0
    said = capsys.readouterr().out
    assert "Of the 15 words the first 12 are read\n" in said and f"'{' '.join(words[:12])}': {{negative: " in said
    assert "word12" not in said


@pytest.mark.parametrize("text", ["", "?! ... <br />"])
def test_no_word_is_one_line_and_2(gru, capsys, text):
    before = contents(gru)
    assert run("imdb_gru", gru, "--sentence", text) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "there is no word in the sentence" in said
    assert contents(gru) == before


def test_no_run_and_another_command_s_run_are_one_line_and_2(gru, tmp_path, capsys):
    assert run("imdb_gru", tmp_path / "nowhere", "--sentence", "good") == 2
    assert "there is no trained run in" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()
    assert run("imdb_rnn", gru, "--sentence", "good") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "is one of imdb_gru, not of imdb_rnn" in said


@pytest.mark.parametrize(
    "read, name",
    [
        ("I loved every minute", "sentence_i_loved_every_minute.png"),
        ("  ../x/y", "sentence_x_y.png"),
        ("", "sentence_blank.png"),
        ("é" * 90, f"sentence_{'é' * 40}.png"),
        ("this movie was not good at all but the actors", "sentence_this_movie_was_not_good_at_all_but_the.png"),
    ],
)
def test_the_file_has_the_first_words_for_its_name(tmp_path, read, name):
    assert verdicts.figure_file(tmp_path, read) == tmp_path / name
