"""The commands that judge reviews: what is trained, the paper's odd ways on demand, and what a user can get wrong."""

import json
from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import assert_close, float64
from experiments import imdb_bilstm, imdb_compare, imdb_gru, imdb_improve, imdb_mlp, imdb_rnn, reviews
from experiments import reviews_recurrent as recurrent
from jaxrnn.command import command
from jaxrnn.data import download
from jaxrnn.data.download import FetchError
from jaxrnn.data.tokens import PADDING
from jaxrnn.models import parameter_count
from jaxrnn.train import Buckets, Fitted, Hparams, Progress, examples_in, segment, start
from runs import bits

TINY = {
    "dataset": "synthetic",
    "length": 12,
    "max_words": 40,
    "embedding": 3,
    "hidden": 4,
    "batch": 64,
    "epochs": 1,
}
OPTIONS = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", str(value))]
COMMANDS = {"imdb_gru": imdb_gru, "imdb_rnn": imdb_rnn, "imdb_bilstm": imdb_bilstm, "imdb_mlp": imdb_mlp}


def settings(module=imdb_gru, **options):
    return module.Settings(**{**TINY, **options})


def call(name, *options):
    module = COMMANDS[name]
    main = module.main if name == "imdb_mlp" else lambda name, chosen: recurrent.main(module.study, name, chosen)
    return command(name, module.Settings, main, [*OPTIONS, *map(str, options)])


def model_and_rows(chosen, rows=4):
    task = recurrent.task(chosen, 42)
    model = task.make_model(nnx.Rngs(0), Hparams())
    ids = np.random.default_rng(1).integers(1, 42, (rows, chosen.length))
    ids[1, : chosen.length // 2] = PADDING
    return task, model, jnp.asarray(ids), jnp.arange(rows) % 2


def cost(model, task, ids, labels):
    return task.objective(model, ids, labels, Hparams(), None)["loss"].sum()


# --- the defaults -----------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_papers():
    """ROCH's code (R10), and IST's question 3 (I8, I9)."""
    gru = imdb_gru.Settings()
    assert (gru.cell, gru.embedding, gru.hidden, gru.layers, gru.batch, gru.epochs) == ("gru", 256, 256, 2, 128, 20)
    assert (gru.optimiser, gru.learning_rate, gru.init, gru.length) == ("adamw_torch", 1e-4, "pytorch", 400)
    assert not gru.mask and not gru.carry_state and gru.pool == "last" and not gru.bidirectional
    assert imdb_mlp.Settings().learning_rate == 1e-3 and imdb_mlp.Settings().input == "ids"
    for module, cell, both in ((imdb_rnn, "elman", False), (imdb_bilstm, "lstm", True)):
        ist = module.Settings()
        assert (ist.cell, ist.bidirectional, ist.embedding, ist.hidden, ist.layers) == (cell, both, 128, 256, 1)
        assert (ist.optimiser, ist.learning_rate, ist.epochs) == ("adam", 1e-3, 5)


@pytest.mark.parametrize(
    "match, given, units", [("recurrent", "ids", 1_965), ("total", "ids", 14_702), ("recurrent", "embed-mean", 3_061)]
)
def test_the_mlp_has_as_many_parameters_as_the_gru(match, given, units):
    """Of 20,000 words and two more ids; an embedding is matched by one of its own."""
    chosen = imdb_mlp.Settings(match_params=match, input=given)
    gru, mlp = (
        parameter_count(nnx.eval_shape(lambda t=task: t.make_model(nnx.Rngs(0), Hparams())))
        for task in (recurrent.task(imdb_gru.Settings(), 20_002), imdb_mlp.task(chosen, 20_002))
    )
    assert imdb_mlp.hidden_units(chosen, 20_002) == units
    target = gru if match == "total" or given != "ids" else gru - 256 * 20_002
    assert abs(mlp / target - 1) < 1e-3


def test_a_run_with_other_settings_does_not_pass_for_the_paper_s():
    theirs = recurrent.setup(imdb_gru.Settings())
    assert "2 layers of 256 GRU units, and AdamW at a learning rate of 0.0001" in theirs
    assert recurrent.setup(settings()) != theirs and recurrent.setup(imdb_gru.Settings(epochs=3, mask=True)) == theirs


# --- the data ---------------------------------------------------------------------------------------------------------


def test_validation_holds_out_reviews_of_both_kinds():
    study = recurrent.study(settings(validation=100))
    assert examples_in(study.train) == 924 and 30 < study.evals["validation"][1].sum() < 70
    again = recurrent.study(settings(validation=100))
    np.testing.assert_array_equal(study.train[0], again.train[0])


@pytest.mark.parametrize("mask, buckets, parts", [(False, 8, None), (True, 1, None), (True, 3, 3)])
def test_reviews_of_like_length_share_batches_where_the_padding_is_skipped(mask, buckets, parts):
    study = recurrent.study(settings(mask=mask, buckets=buckets))
    assert isinstance(study.train, Buckets) == isinstance(study.evals["test"], Buckets) == (parts is not None)
    if parts:
        assert len(study.train.parts) == parts and examples_in(study.train) == 1024
    assert study.notes["words"] == list(reviews.load(settings()).vocabulary.words)


def test_what_is_read_depends_on_the_settings_swept():
    assert {len(recurrent.study(settings(length=length)).train[0][0]) for length in (12, 20)} == {12, 20}


# --- what is trained --------------------------------------------------------------------------------------------------


def test_two_batches_with_the_state_carried_are_one_long_one():
    """Trap 8: the second batch begins where the first ended, though it is of other reviews."""
    with float64():
        chosen = settings(carry_state=True, init="default")
        task, model, ids, labels = model_and_rows(chosen)
        both = jnp.concatenate([ids, ids[::-1]], axis=1)
        state = task.stateful.initial(model, len(ids))
        _, state = task.stateful.objective(model, state, ids, labels, Hparams(), None)
        metrics, _ = task.stateful.objective(model, state, ids[::-1], labels, Hparams(), None)
        whole = task.objective(model, both, labels, Hparams(), None)
        assert_close(metrics["loss"], whole["loss"])


def test_training_carries_the_state_and_testing_begins_anew():
    chosen = settings(carry_state=True)
    study = recurrent.study(chosen)
    data = jax.tree.map(jnp.asarray, study.train)
    run = start(study.task, jax.random.key(0), study.hparams, jax.tree.map(lambda a: a[:1], data))
    after = segment(study.task, run, study.hparams, data, *map(jnp.int32, (0, 0, 2)))
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(after.state))


def test_remat_changes_no_number():
    with float64():
        plain, kept = settings(mask=True), settings(mask=True, remat=5)
        found = []
        for chosen in (plain, kept):
            task, model, ids, labels = model_and_rows(chosen)
            found.append(jax.value_and_grad(cost)(model, task, ids, labels))
        for one, other in zip(*map(jax.tree.leaves, found), strict=True):
            assert_close(one, other)


def test_bfloat16_is_what_is_multiplied_and_nothing_else():
    """In the program of an accelerator, forward and backward: products of bfloat16 with sums in float32."""
    chosen = settings(mask=True)
    half = replace(chosen, dtype="bfloat16")
    products = {}
    for each in (chosen, half):
        task, model, ids, labels = model_and_rows(each)
        slope = jax.jit(jax.grad(partial(cost, task=task, ids=ids, labels=labels)))
        text = slope.trace(model).lower(lowering_platforms=("cuda",)).as_text()
        products[each.dtype] = [line for line in text.splitlines() if "dot_general" in line]
        assert "tensor<4x3xbf16>" not in text and all(leaf.dtype == "float32" for leaf in jax.tree.leaves(model))
    assert not any("bf16" in line for line in products["float32"])
    assert len(products["bfloat16"]) == len(products["float32"]) >= 6
    of_cells = [line for line in products["bfloat16"] if "lhs_precision_type = bf16" in line]
    assert len(of_cells) == len(products["bfloat16"])
    assert all("accumulation_type = f32" in line for line in of_cells)


@pytest.mark.parametrize("double, lowest", [(False, 0.0), (True, imdb_mlp.FLOOR)])
def test_a_second_sigmoid_puts_a_floor_under_the_loss(double, lowest):
    """Of the surest and rightest network there is: 0.3132617 a positive, 0.6931472 a negative, 0.5032 in the mean."""
    task = imdb_mlp.task(settings(imdb_mlp, double_sigmoid=double), 42)
    labels = jnp.array([0, 1])

    def sure(ids, **options):
        return jnp.where(labels == 1, 1e4, -1e4)[:, None]

    found = task.objective(sure, None, labels, Hparams(), None)
    assert float(found["loss"].mean()) == pytest.approx(lowest, abs=1e-6)
    assert found["accuracy"].tolist() == [1, 1]
    if double:
        np.testing.assert_allclose(found["loss"], [0.6931472, 0.3132617], rtol=1e-6)
        for z in np.random.default_rng(0).normal(0, 20, 50):
            any_one = task.objective(lambda ids, z=z, **o: jnp.full((2, 1), z), None, labels, Hparams(), None)
            assert (np.asarray(any_one["loss"]) >= [0.6931471, 0.3132616]).all()


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [
        ("imdb_gru", ("--mask", "--buckets", 2)),
        ("imdb_gru", ("--carry-state", "--remat", 4)),
        ("imdb_rnn", ("--no-mask", "--pool", "max", "--validation", 64, "--patience", 1)),
        ("imdb_bilstm", ("--buckets", 1, "--dropout", 0.3, "--html", "keep", "--vocab-from", "all")),
        ("imdb_mlp", ("--double-sigmoid",)),
        ("imdb_mlp", ("--input", "embed-flat", "--match-params", "total")),
    ],
)
def test_every_way_is_trained_and_resumed(name, options, tmp_path):
    assert call(name, *options, "--out", tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["dataset"] == {"name": "synthetic", "source": "generated reviews", "train": 1024 - 64 * (
        "--validation" in options), "test": 512}  # fmt: skip
    assert 0 <= result["metrics"]["test_accuracy"]["mean"] <= 1 and result["finished"]
    if "--double-sigmoid" in options:
        assert result["metrics"]["test_loss"]["mean"] > imdb_mlp.FLOOR
    before = bits(tmp_path / "run")
    assert call(name, *options, "--out", tmp_path / "run", "--resume") == 0
    assert bits(tmp_path / "run") == before


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("imdb_gru", ["--length", "0"], "--length must be at least 1, not 0"),
        ("imdb_gru", ["--max-words", "0"], "--max-words must be at least 1, not 0"),
        ("imdb_gru", ["--buckets", "0"], "--buckets must be at least 1, not 0"),
        ("imdb_gru", ["--remat", "0"], "--remat must be at least 1, not 0"),
        ("imdb_gru", ["--carry-state", "--mask"], "leave out --mask"),
        ("imdb_gru", ["--dtype", "bfloat16"], "--dtype bfloat16 is for accelerators"),
        ("imdb_bilstm", ["--no-mask", "--carry-state"], "--carry-state carries on where a row ended"),
        ("imdb_mlp", ["--embedding", "0"], "--embedding must be at least 1, not 0"),
        ("imdb_mlp", ["--validation", "1024"], "--validation 1024 leaves nothing of 1024 examples"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(name, options, words, tmp_path, capsys):
    assert call(name, *options, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"python -m experiments.{name}: ") and words in said
    assert not (tmp_path / "run").exists()


def test_without_data_the_ways_to_get_them_are_said(tmp_path, monkeypatch, capsys):
    def none(*_):
        raise FetchError("no network: no answer from the server within 2.5 s")

    monkeypatch.delenv("JAXRNN_DATA", raising=False)
    monkeypatch.setattr(download, "fetch", none)
    reviews._read.cache_clear()
    assert call("imdb_gru", "--dataset", "imdb", "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no network" in said
    for way in ("--data-dir", "$JAXRNN_DATA", "aclImdb", "tensorflow-datasets", "--dataset synthetic"):
        assert way in said
    assert not (tmp_path / "run").exists()


def test_a_broken_folder_is_one_line_and_2(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_pos_reviews.txt").write_text("fine\n")
    assert call("imdb_gru", "--dataset", "imdb", "--data-dir", tmp_path / "data", "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "train_neg_reviews.txt" in said


# --- side by side -----------------------------------------------------------------------------------------------------


def test_what_is_compared_are_the_commands_own_runs():
    chosen = imdb_compare.Settings(dataset="synthetic", length=12, max_words=40, epochs=2, seeds=3)
    parts = imdb_compare.parts(chosen)
    assert parts.keys() == imdb_compare.NETWORKS.keys()
    for key, part in parts.items():
        _, module, own = imdb_compare.NETWORKS[key]
        defaults = replace(module.Settings(), **own)
        changed = {
            one.name for one in fields(defaults) if getattr(defaults, one.name) != getattr(part.settings, one.name)
        }
        assert (
            changed == {"dataset", "length", "max_words", "epochs", "seeds"}
            and part.experiment == module.EXPERIMENT.name
        )
    printed = {key: [one["value"] for one in part.study.reference] for key, part in parts.items()}
    assert printed["gru_paper"] == [0.7432065606117249] and printed["mlp"] == [0.49966034293174744]
    assert imdb_compare.parts(replace(chosen, epochs=None))["gru"].settings.epochs == 20


@pytest.mark.parametrize(
    "ids, vectors, gru, said",
    [(0.51, 0.86, 0.87, "vectors for the words"), (0.5, 0.6, 0.9, "do not make up"), (0.6, 0.9, 0.55, "not better")],
)
def test_what_the_mlp_lacks_depends_on_what_was_measured(ids, vectors, gru, said):
    assert said in imdb_compare.lacking(ids, vectors, gru)


def test_the_best_epoch_is_the_last_one_or_named():
    def fitted(*accuracies):
        rows = [{"epoch": epoch, "test_accuracy": value} for epoch, value in enumerate(accuracies, start=1)]
        progress = Progress(None, len(rows), 0, rows, {})
        measured = {"test_accuracy": np.array(accuracies[-1:]), "test_loss": np.array([0.5])}
        return recurrent.verdict(settings(), Fitted(progress, True, measured))

    assert "that was highest after the last epoch." in fitted(0.5, 0.75)
    assert "that was highest after epoch 1, 80.00 %." in fitted(0.8, 0.7) and "1 epoch (20 in the paper)" in fitted(0.8)


def test_how_long_the_paper_trained_is_said_where_it_is_not_as_long():
    assert reviews.after(20, paper=20) == "after 20 epochs" and reviews.after(1) == "after 1 epoch"
    assert reviews.after(3, 1, 5) == "after at most 3 epochs (5 in the paper)"


def test_every_improvement_is_one_change():
    chosen = imdb_improve.Settings(dataset="synthetic", length=12, max_words=40, seeds=2)
    parts = imdb_improve.parts(chosen)
    assert list(parts) == list(imdb_improve.CHANGES)
    base = parts[imdb_improve.BASE].settings
    for key, part in parts.items():
        changed = {one.name for one in fields(base) if getattr(base, one.name) != getattr(part.settings, one.name)}
        expected = set(imdb_improve.CHANGES[key][1]) | ({"length"} if key == "length" else set())
        assert changed == expected - ({"buckets"} if base.buckets == 1 else set())
        assert part.experiment == "imdb_gru" and part.settings.length == (24 if key == "length" else 12)
    assert imdb_improve.gained([0.5, 0.7], [0.8]) == pytest.approx(20)
    assert imdb_improve.gained([0.5, 0.7], [float("nan")]) is None
