"""The command that learns a text: five samples evenly spaced, the same bits when resumed, and what it says."""

import contextlib
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evidence import unsupported
from experiments import char_longer, char_samples, text_temperatures, texts
from experiments.char_lm import EXPERIMENT, Settings, introduction, learned, lowest_held_out, main
from experiments.char_samples import SAMPLES, Sample
from experiments.text_temperatures import Counted
from experiments.texts import TextSettings
from jaxrnn import study, train
from jaxrnn.cells import CELLS
from jaxrnn.command import command
from jaxrnn.data.text import of_documents
from jaxrnn.errors import DataError, SettingsError
from runs import bits, contents

SMALL = ("--quick", "--characters", "700", "--hidden", "5", "--length", "9", "--batch", "8", "--steps", "20")
WINDOWS = (*SMALL, "--every", "2")
STREAMS = (*SMALL, "--every", "5", "--stateful")
PART = 8  # floor of (630 - 1) / (8 * 9): the steps of a pass


def learn(out, *options):
    return command("char_lm", Settings, main, [*map(str, options), "--out", str(out)])


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    out = tmp_path_factory.mktemp("windows") / "run"
    assert learn(out, *WINDOWS) == 0
    return out


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    out = tmp_path_factory.mktemp("streams") / "run"
    assert learn(out, *STREAMS) == 0
    return out


def test_the_state_goes_on_from_piece_to_piece(windows):
    answers = result_of(windows)["answers"]
    assert set(answers) == {"U12", "U13", "U14", "U15", "U16"}
    assert "together what one piece of 18 is, character for character" in answers["U16"]
    restored = texts.restore("char_lm", windows)
    read = texts.load(restored.settings)
    made = texts.study(restored.settings, read)
    model = jax.tree.map(lambda leaf: leaf[0], restored.models)
    ids = np.append(read.train[-1:], read.test)
    pieces = [ids[start : start + 10] for start in range(0, 63, 9)]  # the 70 characters are 7 pieces, and 7 more
    each = [
        made.task.objective(model, piece[None, :-1], piece[None, 1:], made.hparams, None)["bits_per_character"]
        for piece in pieces
    ]
    found = char_longer.cut_off(made, model, read, 9)
    assert found == pytest.approx(np.mean(each), rel=1e-5)
    assert f"and {found:.3f} where they are forgotten" in answers["U16"]
    assert result_of(windows)["metrics"]["cut_test_bits_per_character"]["mean"] == found


def result_of(out):
    return json.loads((out / "result.json").read_text())


def test_five_samples_are_evenly_spaced(windows):
    samples = char_samples.read(windows)
    assert [sample.step for sample in samples] == [4, 8, 12, 16, 20]
    assert all(len(text) == 30 for sample in samples for text in (sample.greedy, sample.drawn))
    assert all(sample.greedy[0] == sample.drawn[0] for sample in samples)
    read = texts.load(TextSettings(characters=700))
    assert {sample.greedy[0] for sample in samples} <= set(read.vocabulary.characters)
    shown = (windows / "samples.md").read_text()
    assert [line for line in shown.splitlines() if line.startswith("## ")] == [
        f"## Step {step} of 20" for step in (4, 8, 12, 16, 20)
    ]
    assert all(char_samples._indented(sample.greedy) in shown for sample in samples)
    result = result_of(windows)
    assert [one["step"] for one in result["samples"]] == [4, 8, 12, 16, 20]
    assert [one["way"] for one in result["temperatures"]] == ["greedy", "0.5", "1", "2"]
    assert unsupported(result) == {}
    shares = [one["known_share"] for one in result["samples"]]
    for name, value in (("first_sample", shares[0]), ("last_sample", shares[-1])):
        assert result["metrics"][f"{name}_known_share"]["mean"] == value
    for one in result["temperatures"]:
        assert result["metrics"][f"{one['way']}_distinct_share"]["mean"] == one["distinct"][3]


def test_the_last_sample_is_what_the_finished_network_writes(windows):
    restored = texts.restore("char_lm", windows)
    sample = char_samples.read(windows)[-1]
    model = jax.tree.map(lambda leaf: leaf[0], restored.models)
    ids = restored.vocabulary.encode(sample.greedy).astype(np.int32)
    likeliest = np.asarray(jax.jit(model)(ids[None, :-1]))[0, :, : restored.vocabulary.unknown].argmax(-1)
    np.testing.assert_array_equal(likeliest, ids[1:])


def test_a_run_folder_is_enough_to_use_its_network(windows):
    restored = texts.restore("char_lm", windows)
    read = texts.load(restored.settings)
    assert restored.vocabulary == read.vocabulary and restored.text == read.name
    made = texts.study(restored.settings, read)
    found = jax.vmap(lambda model: made.task.objective(model, *made.evals["test"], made.hparams, None))(restored.models)
    result = result_of(windows)
    np.testing.assert_allclose(found["loss"][:, 0], result["metrics"]["test_loss"]["runs"], rtol=1e-5)
    assert "weights are those that were trained" in result["answers"]["U15"]


def test_what_a_run_says_of_the_text(windows):
    result = result_of(windows)
    read = texts.load(TextSettings(characters=700))
    assert result["dataset"]["train"] == 630 and result["dataset"]["test"] == 70
    assert "Python topics" == result["dataset"]["name"]
    loss, bits_each = (result["metrics"][f"test_{name}"]["mean"] for name in ("loss", "bits_per_character"))
    assert bits_each == pytest.approx(loss / np.log(2))
    assert f"costs {bits_each:.3g}" in result["answers"]["U12"]
    assert read.unknown == 1 and "1 of the held-out characters is unknown" in introduction(Settings(), read)


@pytest.mark.parametrize(
    "options, whole", [(WINDOWS, "windows"), pytest.param(STREAMS, "streams", marks=pytest.mark.slow)]
)
def test_stopped_and_resumed_is_uninterrupted(options, whole, tmp_path, monkeypatch, capsys, request):
    whole = request.getfixturevalue(whole)

    @contextlib.contextmanager
    def at_the_fourteenth_look():
        looks = iter(range(100))
        yield lambda: next(looks) == 13

    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)  # a step between two looks
    with monkeypatch.context() as patch:
        patch.setattr(study, "stop_requests", at_the_fourteenth_look)
        assert learn(tmp_path / "run", *options) == 130
    assert 0 < len(char_samples.read(tmp_path / "run")) < SAMPLES
    assert learn(tmp_path / "run", *options, "--resume") == 0
    assert bits(tmp_path / "run") == bits(whole)
    for file in (char_samples.FILE, char_samples.DATA):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes()


@pytest.mark.slow
def test_streams_are_read_in_whole_passes(streams):
    config = json.loads((streams / "config.json").read_text())
    assert (config["every"], config["steps"]) == (PART, 5 * PART)
    assert [sample.step for sample in char_samples.read(streams)] == [PART * part for part in range(1, 6)]
    assert "contiguous streams" in result_of(streams)["answers"]["U12"]


def test_a_sweep_of_streams_must_have_whole_passes():
    settings = TextSettings(characters=700, length=9, batch=8, every=10, steps=100, stateful=True)
    with pytest.raises(SettingsError, match="--every 10 would have to be 8"):
        EXPERIMENT.study(settings, texts.load(settings))
    whole = texts.whole_passes(settings, texts.load(settings))
    assert (whole.every, whole.steps) == (8, 80)
    assert EXPERIMENT.study(whole, texts.load(settings)).train.steps == 8


def test_a_text_without_unknown_characters_says_so():
    assert "and the held-out part has no others" in introduction(Settings(), of_documents(["ab" * 20], "", ""))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--text-file", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["--length", "0"], "--length must be at least 1"),
        (["--length", "630"], "the text has 630 characters to train on, and a sequence needs 631"),
        (["--stateful", "--length", "79"], "8 streams of 79 characters and the next need 633"),
        (["--every", "5"], "--every must divide a fifth of the 20 --steps, and 5 does not"),
        (["--every", "3"], "--every must divide the 20 --steps"),
        (["--layers", "0"], "--layers must be at least 1"),
        (["--decay", "0"], "--decay must be above 0 and at most 1"),
        (["--decay-every", "0"], "--decay-every must be at least 1"),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (["--learning-rate", "nan"], "--learning-rate and --clip-norm must be above 0"),
        (["--sample-length", "1"], "--sample-length must be at least 2"),
        (["--characters", "0"], "--characters must be at least 1"),
        (["--characters", "1"], "a text of 1 characters cannot be parted"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(tmp_path, capsys, options, words):
    assert learn(tmp_path / "run", *WINDOWS, *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said and said.startswith("python -m experiments.char_lm: ")
    assert not (tmp_path / "run").exists()


def test_another_text_is_not_gone_on_with(windows, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("Quite another text. " * 40)
    before = contents(windows)
    assert learn(windows, *WINDOWS, "--resume", "--text-file", tmp_path / "other.txt") == 2
    assert "was trained on other data" in capsys.readouterr().err
    assert contents(windows) == before


def test_a_file_of_one_s_own(tmp_path):
    """In UTF-16 or not at all, it is read or said."""
    (tmp_path / "own.txt").write_bytes("A text of one’s own.\r\n".encode() * 50)
    settings = TextSettings(text_file=(tmp_path / "own.txt",))
    made = texts.study(settings, texts.load(settings))
    assert made.dataset.name == "own.txt" and made.notes["characters"] == "\n .Aefnostwx’"
    with pytest.raises(DataError, match="own.txt"):
        (tmp_path / "own.txt").write_bytes("Another".encode("utf-16"))
        texts.load(settings)


@pytest.mark.slow
def test_a_run_of_a_file_knows_it_again(tmp_path, monkeypatch):
    (tmp_path / "own.txt").write_text("A text of one's own. " * 40)
    monkeypatch.chdir(tmp_path)
    assert learn(tmp_path / "run", *WINDOWS, "--text-file", "own.txt", "--seeds", "2") == 0
    monkeypatch.undo()
    restored = texts.restore("char_lm", tmp_path / "run")
    assert texts.load(restored.settings).vocabulary == restored.vocabulary and restored.text == "own.txt"
    assert learn(tmp_path / "run", "--generate", tmp_path / "run", "--compare", "--prime", "A") == 0


def test_samples_are_of_the_first_run_with_a_finite_loss(tmp_path):
    settings = TextSettings(characters=700, hidden=3, length=5, steps=10, every=2, seeds=2)
    read = texts.load(settings)
    made, rng = texts.study(settings, read), np.random.default_rng(0)
    shapes = train.abstract_runs(made.task, study.run_keys(0, np.arange(2)), made.hparams, made.train)
    runs = shapes._replace(
        model=jax.tree.map(lambda leaf: jnp.array(rng.normal(size=leaf.shape), jnp.float32), shapes.model)
    )
    row = {"epoch": 1, "train_loss": 1.5, "test_bits_per_character": 2.5}

    def taken(history, epoch=1):
        char_samples.take(settings, read, set(), train.Progress(runs, epoch, 0, history, {}), tmp_path)

    taken([])
    assert not list(tmp_path.iterdir())
    for number in (0, 1):
        taken([row | {"run": number}])
        (sample,) = char_samples.read(tmp_path)
        model = jax.tree.map(lambda leaf, number=number: leaf[number], runs.model)
        ids = read.vocabulary.encode(sample.greedy).astype(np.int32)
        likeliest = np.asarray(jax.jit(model)(ids[None, :-1]))[0, :, : read.vocabulary.unknown].argmax(-1)
        np.testing.assert_array_equal(likeliest, ids[1:])
    assert (sample.step, sample.loss, sample.held_out, sample.known) == (2, 1.5, 2.5, 0) and sample.words > 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("stateful", [False, True])
def test_every_cell_learns_a_text_either_way(cell, stateful):
    settings = TextSettings(characters=700, length=9, batch=8, cell=cell, dropout=0.1, stateful=stateful)
    read = texts.load(settings)
    made = texts.study(texts.whole_passes(settings, read), read)
    run = train.abstract_runs(made.task, jax.random.key(0), made.hparams, made.train)
    held_out = jax.eval_shape(made.task.objective, run.model, *made.evals["test"], made.hparams, None)
    assert {name: values.shape for name, values in held_out.items()} == dict.fromkeys(held_out, (1,))


@pytest.mark.slow
def test_the_default_text_is_learned(tmp_path):
    """As measured: far below what a guess by frequency costs, 4.5 bits."""
    assert learn(tmp_path / "run", "--quick", "--steps", "2000", "--every", "400") == 0
    assert result_of(tmp_path / "run")["metrics"]["test_bits_per_character"]["mean"] < 3.2


def counted(way, varied, words):
    return Counted(way=way, text="abcd\n" * 40, entropy=1.0, distinct=[varied] * 4, words=words, copied="")


@pytest.mark.parametrize(
    "varied, words, seen",
    [
        (0.2, 1.0, "repeats itself"),
        (0.9, 0.96, "writes almost only real words"),
        (0.9, 0.8, "invents words among real ones"),
        (0.9, 0.5, "is largely noise"),
        (0.9, float("nan"), "is largely noise"),
    ],
)
def test_what_temperatures_do_is_said_of_the_texts_at_hand(varied, words, seen):
    said = text_temperatures.answer([counted("greedy", 0.2, 0.9), counted("2", varied, words)])
    assert said.endswith(f"By these, greedy repeats itself, and temperature 2 {seen}.")
    assert f"temperature 2 “{'abcd↵' * 16}”. In 200 characters" in said


@pytest.mark.parametrize("known, words", [(9, "rises from 50.0%"), (4, "falls from 50.0%"), (5, "goes from 50.0%")])
def test_samples_are_compared_by_their_words(known, words):
    samples = [
        Sample(step=step, loss=2.0, held_out=3.0, greedy="a\nb", drawn="b", words=10, known=of)
        for step, of in ((10, 5), (20, known))
    ]
    said = char_samples.answer(samples)
    assert words in said and "writes “a↵b” after 10, “a↵b” after 20 steps." in said


@pytest.mark.parametrize("last, words", [(2.5, "is right in 50.0 %. It costs least, 2, after step 20;"), (2.0, "")])
def test_overfitting_is_said_where_the_held_out_loss_has_risen(last, words):
    history = [
        {"run": run, "epoch": epoch, "test_bits_per_character": value}
        for run, values in enumerate([[3.0, 2.0, last], [np.nan]])
        for epoch, value in enumerate(values, start=1)
    ]
    fitted = SimpleNamespace(
        progress=SimpleNamespace(history=history), metrics={"test_bits_per_character": np.array([last, np.nan])}
    )
    lowest = lowest_held_out(fitted, 10)
    assert lowest == ([2.0], [20], [last - 2.0])
    metrics = dict.fromkeys(("test_bits_per_character", "train_bits_per_character", "test_accuracy"), {"runs": [0.5]})
    outcome = SimpleNamespace(result={"metrics": metrics, "parameters": 7})
    said = learned(Settings(), texts.load(TextSettings(characters=700)), outcome, [1.0], lowest)
    assert words in said and ("overfits" in said) == bool(words) and "by RMSProp at 0.002" in said


@pytest.mark.parametrize("text", ["{}", "[3]", '[{"step": 1}]', '[{"odd": 1}]', "["])
def test_samples_that_are_none_are_one_line(tmp_path, text):
    (tmp_path / char_samples.DATA).write_text(text)
    with pytest.raises(DataError, match="written there"):
        char_samples.read(tmp_path)
