"""Names learned letter by letter and made up: the loss, what is written, what is measured of it, and what is asked."""

import csv
import json
from functools import cache, partial

import jax
import numpy as np
import pytest

from experiments import name_model, name_samples, names
from experiments.name_model import NameSettings, by_frequency, costs, examples, study
from experiments.name_samples import Sample, Written, write
from experiments.names import main
from jaxrnn.cells import CELLS
from jaxrnn.command import command
from jaxrnn.data.names import NOTHING, Alphabet, Name, read
from jaxrnn.generate import TopK
from jaxrnn.models import parameter_count
from jaxrnn.runfolder import read_json
from jaxrnn.train import abstract_runs, evaluate, start
from runs import bits, contents


@cache
def made(**settings):
    data = read()
    found = study(NameSettings(**settings), data)
    run = start(found.task, jax.random.key(5), found.hparams, jax.tree.map(lambda a: a[:1], found.train))
    return data, found, run.model


def test_the_network_has_as_many_parameters_as_its_equations():
    _, found, model = made()
    assert parameter_count(model) == 81 * 128 + 128 * 128 + 2 * 128 + 128 * 81 + 81 == 37_457
    assert [row.input for row in found.summary(model)] == ["13 x 81", "13 x 128"]


def test_costs_are_a_sum_in_numpy():
    data, _, model = made()
    ids = data.alphabet.encode(data.train[:20], data.length)
    cell = jax.tree.map(np.float64, model.layers.layers[0].cell)
    w_x, w_h, b = cell.w_x[...], cell.w_h[...], cell.b_x[...] + cell.b_h[...]
    v, c = np.float64(model.head.kernel[...]), np.float64(model.head.bias[...])
    found = np.asarray(costs(model, ids))
    assert found.shape == (20, 12)
    for row, of_row in zip(ids, found, strict=True):
        row, h = row[row != NOTHING], np.zeros(128)
        for step, (one, after) in enumerate(zip(row, row[1:], strict=False)):
            h = np.tanh(w_x[one] + h @ w_h + b)
            logits = h @ v + c
            assert of_row[step] == pytest.approx(np.log(np.exp(logits).sum()) - logits[after], rel=1e-5)
        assert not of_row[len(row) - 1 :].any()


def test_padded_names_are_as_they_are_alone_in_loss_and_gradient():
    data, _, model = made()
    name = Name("Anna", "Finnish")
    alone, padded = data.alphabet.encode([name], 6), data.alphabet.encode([name], 13)
    judge = jax.jit(jax.value_and_grad(lambda model, ids: costs(model, ids).sum()))
    both = [judge(model, ids) for ids in (alone, padded)]
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6), *both)


def test_the_mean_over_names_is_the_mean_over_letters():
    data, found, model = made()
    ids, weights = examples(data, data.test)
    each = np.asarray(costs(model, ids))
    letters = sum(len(name.text) + 1 for name in data.test)
    assert name_model.characters(ids).sum() == letters
    loss = jax.jit(partial(evaluate, found.task))(model, found.hparams, (ids, weights))["loss"]
    assert loss == pytest.approx(each.sum() / letters, rel=1e-5)


def test_what_letters_cost_by_their_frequency():
    ids = Alphabet("ab", ("one",)).encode([Name("aab", "one"), Name("b", "one")], 5)
    entropy = np.log(3) + 0  # two of each of a, b and the end
    assert by_frequency(ids, ids) == pytest.approx(entropy) == pytest.approx(by_frequency(ids, ids[:1]))


def test_of_the_likeliest_letter_there_is_one_name():
    data, _, model = made()
    asked = [Name("", language) for language in data.languages for _ in range(3)]
    once, again = (write(model, jax.random.key(seed), data.alphabet, asked, TopK(1), data.length) for seed in (0, 1))
    assert once.names == again.names and len(set(once.names)) == len(data.languages)
    free = write(model, jax.random.key(0), data.alphabet, asked, (), data.length)
    assert len(set(free.names)) == len(asked) and [name.language for name in free.names] == [
        name.language for name in asked
    ]


def test_what_is_written_begins_as_asked_and_costs_what_it_costs():
    data, _, model = made()
    asked = [Name("Ro", "Italian")] * 40
    found = write(model, jax.random.key(2), data.alphabet, asked, (), data.length)
    assert all(name.text.startswith("Ro") and len(name.text) <= 12 for name in found.names)
    assert 0 < sum(found.ended) < 40  # an untrained network ends names at random
    ids, ended = data.alphabet.encode(found.names, 14), np.array(found.ended)
    ids[(ids == data.alphabet.end) & ~ended[:, None]] = NOTHING
    np.testing.assert_allclose(found.costs, costs(model, ids).sum(-1), rtol=1e-5)
    assert found.characters.tolist() == [len(name.text) + end for name, end in zip(found.names, ended, strict=True)]


def test_measures_by_hand():
    texts = [Name("Ann", "a"), Name("Ann", "a"), Name("Bo", "b"), Name("Ann", "b")]
    sample = Sample(2, 0, Written(texts, np.array([4.0, 4, 3, 4]), np.array([4, 4, 3, 4]), [True] * 4),
                    [False, False, True, True], ["a", "a", "b", "a"])  # fmt: skip
    assert sample.measures == {
        "novelty": 0.5, "duplicates": 0.25, "nll": 1.0, "length": 2.75, "match": 0.75, "match_new": 0.5,
    }  # fmt: skip
    old = sample._replace(new=[False] * 4)
    assert np.isnan(old.measures["match_new"])


def test_the_language_of_names_is_recognised():
    data, _, _ = made()
    judge = name_samples.classifier(data)
    own = judge.classify([name.text for name in data.train])
    assert (
        np.mean([data.languages[one] == name.language for one, name in zip(own, data.train, strict=True)]) == 726 / 896
    )
    recall = name_samples.recall(data, judge)
    assert recall.shape == (8,) and recall.mean() == pytest.approx(61 / 104)


def test_how_long_it_trains_depends_on_the_names(tmp_path):
    assert NameSettings().total_epochs() == 1000 and NameSettings(names=tmp_path).total_epochs() == 50
    assert NameSettings(names=tmp_path / "names.txt").total_epochs() == 1000
    assert NameSettings(names=tmp_path, epochs=7).total_epochs() == 7


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_names(cell):
    found = study(NameSettings(cell=cell, hidden=3), read())
    run = abstract_runs(found.task, jax.random.key(0), found.hparams, found.train)
    measured = jax.eval_shape(found.task.objective, run.model, *found.train, found.hparams, None)
    assert measured["loss"].shape == (896,)


def ask(out, *options):
    return command("names", NameSettings, main, ["--out", str(out), *options])


QUICK = ("--quick", "--epochs", "3", "--hidden", "8", "--samples", "4", "--seeds", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("names") / "run"
    assert ask(out, *QUICK) == 0
    return out, json.loads((out / "result.json").read_text())


def test_a_run_leaves_its_names_and_what_they_came_to(finished):
    out, result = finished
    assert {path.name for path in out.iterdir()} >= {
        "learning_curves.png", "names_by_k.png", "languages.png", "names_by_k.csv", "written.csv",
    }  # fmt: skip
    with open(out / "written.csv") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 2 * 5 * 8 * 4
    learned = {name.text for name in read().train}
    metrics = {name: metric["runs"] for name, metric in result["metrics"].items()}
    for k in ("1", "2", "3", "5", "all"):
        for run in (0, 1):
            rows = [row for row in written if (row["k"], row["run"]) == (k, str(run))]
            assert all((row["name"] not in learned) == (row["new"] == "True") for row in rows)
            new = sum(row["new"] == "True" for row in rows)
            assert metrics[f"novelty_{k}"][run] == pytest.approx(new / 32)
            letters = sum(len(row["name"]) for row in rows)
            assert metrics[f"length_{k}"][run] == pytest.approx(letters / 32)
            cost = -sum(float(row["log_probability"]) for row in rows)
            ends = sum(row["ended"] == "True" for row in rows)
            assert metrics[f"nll_{k}"][run] == pytest.approx(cost / (letters + ends))
            if k == "1":
                assert (
                    metrics["duplicates_1"][run]
                    == 1 - 8 / 32
                    == 1 - len({(r["language"], r["name"]) for r in rows}) / 32
                )
    assert metrics["chance"] == [1 / 8] and metrics["classifier_recall"] == [pytest.approx(61 / 104)]
    right = [row for row in written if row["k"] == "all" and row["run"] == "1" and row["language"] == row["taken_for"]]
    assert metrics["language_match"][1] == pytest.approx(len(right) / 32)
    assert "8 starts gave 8 names" in result["answers"]["I7"] and "by heart" not in result["answers"]["I6"]
    assert "for 3 epochs on 896 names" in result["answers"]["I6"]
    assert "The paper asks for 1,000 epochs: with one of these names at a time" in result["answers"]["I6"]
    assert metrics["updates"] == [3 * -(-896 // 64)] and metrics["updates_one_at_a_time"] == [896_000]
    assert metrics["lowest_test_loss"] == metrics["test_loss"] and metrics["lowest_test_loss_epoch"] == [3]
    assert result["config"]["epochs"] == 3 and result["dataset"]["name"] == "1,000 names in 8 languages"


def test_a_finished_run_is_asked(finished, capsys):
    out, _ = finished
    before = contents(out)
    assert ask(out, "--language", "Italian", "--starts-with", "Ro", "--top-k", "1", "--temperature", "0.5") == 0
    said = capsys.readouterr().out
    assert said.count("Italian: Ro...") == 1 and "10 times" in said
    assert ask(out, "--starts-with", "Jose\u0301", "--samples", "1") == 0
    said = capsys.readouterr().out
    assert said.count("José...") == 8 and said.count("once") == 8
    assert contents(out) == before


@pytest.mark.slow
def test_log_probabilities_are_the_model_s_own_whatever_the_sampler(finished, capsys):
    out, _ = finished
    settings = NameSettings(out=out, language="Polish", starts_with="A", top_k=1, samples=1)
    hot = NameSettings(out=out, language="Polish", starts_with="A", temperature=1e-6, samples=1)
    (one,), (other,) = main("names", settings), main("names", hot)
    assert one.names == other.names and one.costs == pytest.approx(other.costs)
    capsys.readouterr()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--language", "Latin"], "'Latin' is none of the languages: there are English, Finnish,"),
        (["--starts-with", "Rø!"], "'ø', '!' in 'Rø!': the names that were learned have only the characters 'ABC"),
        (["--top-k", "0"], "--top-k must be at least 1, not 0"),
        (["--temperature", "0"], "--temperature must be above 0, not 0"),
        (["--samples", "0"], "--samples must be at least 1"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--batch", "0"], "--batch must be at least 1"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0"),
        (["--names", "nowhere.txt"], "nowhere.txt: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(finished, capsys, options, words):
    out, _ = finished
    before = contents(out)
    assert ask(out, *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said and said.startswith("python -m experiments.names: ")
    assert contents(out) == before


def test_no_run_is_no_answer(finished, tmp_path, capsys):
    assert ask(tmp_path / "nowhere", "--language", "Polish") == 2
    assert "there is no trained run in" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_one_list_has_no_languages_to_ask_for(tmp_path, capsys):
    listed = [a + b + c for a in "ABD" for b in ("an", "on", "en") for c in ("a", "o", "na", "no")]
    (tmp_path / "mine.txt").write_text("\n".join(listed))
    assert ask(tmp_path / "run", *QUICK[:-2], "--names", str(tmp_path / "mine.txt")) == 0
    result = read_json(tmp_path / "run" / "result.json")
    assert not {name for name in result["metrics"] if "language" in name or name == "chance"}
    assert not (tmp_path / "run" / "languages.png").exists()
    assert "classifier" not in result["answers"]["I7"] and "1 start gave 1 name." in result["answers"]["I7"]
    capsys.readouterr()
    assert ask(tmp_path / "run", "--starts-with", "B") == 0 and "mine: B..." in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_resumed_is_the_same_to_the_bit(finished, tmp_path, monkeypatch, capsys):
    out, result = finished

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(names, "show", stop)
    assert ask(tmp_path / "run", *QUICK) == 130
    monkeypatch.undo()
    assert ask(tmp_path / "run", *QUICK, "--resume") == 0
    assert bits(tmp_path / "run") == bits(out)
    assert (tmp_path / "run" / "written.csv").read_bytes() == (out / "written.csv").read_bytes()


@pytest.mark.slow
def test_a_network_that_learns_writes_names_of_the_language_asked_for(tmp_path):
    """As measured: 41 % of the new names, where chance is 12.5 %. Of the likeliest letter there are but eight names."""
    assert ask(tmp_path / "run", "--epochs", "150") == 0
    metrics = {name: metric["mean"] for name, metric in read_json(tmp_path / "run" / "result.json")["metrics"].items()}
    assert metrics["test_loss"] < 2.6 and metrics["language_match_new"] > 0.3
    costs = [metrics[f"nll_{k}"] for k in ("1", "2", "3", "5", "all")]
    assert costs == sorted(costs)
    assert metrics["novelty_2"] < metrics["novelty_all"] and metrics["duplicates_1"] > metrics["duplicates_all"]
