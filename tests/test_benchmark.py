"""The benchmark but for its clock: what is counted, that all libraries compute the same, and what is left behind.

No test here says how fast anything is.
"""

import csv
import inspect
import json
import math
import re

import jax
import numpy as np
import pytest
import tyro
from flax import nnx

from experiments import benchmark, benchmark_reviews, benchmark_sweeps, benchmark_text, measuring
from experiments.benchmark import FLAX, MNIST, Settings, contestants, mnist_task
from experiments.benchmark_reviews import REVIEWS
from experiments.benchmark_sweeps import SWEEPS
from experiments.benchmark_text import TEXTS
from experiments.measuring import TORCH, Measured, Ours, Outcome, Shape, flops
from jaxrnn.cells import CELLS
from jaxrnn.command import command
from jaxrnn.data import mnist
from jaxrnn.errors import UserError
from jaxrnn.train import Hparams

TINY = Shape(batch=64, time=5, features=6, hidden=7, classes=3, examples=64, steps=1)
"""One batch is all there is: whatever the order of the data, every library sees the same."""


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr(measuring, "installed", lambda package: package != "torch")


@pytest.fixture
def without_clock(monkeypatch):
    """The benchmark without its work: every library is there for every cell, and each takes no time at all."""

    def pretend(cell, shape, devices=None):
        return 1234, dict.fromkeys(("ours", "torch", "flax"), lambda steps: 0.0)

    def pretend_sweep(row, sweep, rounds, devices=None):
        line = {"row": row, "library": "ours", "runs": 1, "unit": "ms", **measuring.quartiles([1.0])}
        return Outcome(Measured(row, "ms", {"ours": [1.0] * rounds}, 1234), 0.0, [line])

    def pretend_text(row, scale, rounds, devices=None):
        unit = "us" if scale.kind == "writing" else "ms"
        return Outcome(Measured(row, unit, {"ours": [2.0] * rounds, "torch": [8.0] * rounds}, 1234), 0.0)

    def pretend_reviews(row, scale, rounds, devices=None):
        times = {"ours": [4.0] * rounds, "torch": [20.0] * rounds, "torch_packed": [80.0] * rounds}
        return Outcome(Measured(row, "ms_review", times, 1234), 0.0)

    monkeypatch.setattr(benchmark, "contestants", pretend)
    monkeypatch.setattr(benchmark_reviews, "measure", pretend_reviews)
    monkeypatch.setattr(benchmark_text, "measure", pretend_text)
    monkeypatch.setattr(benchmark_sweeps, "measure", pretend_sweep)
    monkeypatch.setattr(measuring, "product_speed", lambda size, devices: 100.0)


def run(out, *options):
    return command("benchmark", Settings, benchmark.main, [*map(str, options), "--out", str(out)])


def left(out):
    with open(out / "benchmark.csv") as file:
        return json.loads((out / "result.json").read_text()), list(csv.DictReader(file))


# What is counted.


@pytest.mark.parametrize(
    "cell, products",
    [  # 28 steps x 2 x 128 rows x (2 x 28 x gates*150 + 3 x 150 x gates*150), and 3 x 2 x 128 x 150 x 10 for the head
        ("elman", 7_168 * (2 * 4_200 + 3 * 22_500) + 1_152_000),
        ("elman_relu", 545_203_200),
        ("jordan", 7_168 * (2 * 4_200 + 3 * 2 * 22_500) + 1_152_000),
        ("gru", 1_633_305_600),
        ("lstm", 2_177_356_800),
        ("time_gated_lstm", 2_177_356_800),
    ],
)
def test_operations_of_a_training_step(cell, products):
    assert flops(cell, MNIST) == products


def test_operations_by_hand_of_a_small_step():
    # forward: 2 steps x (2*5*3*4 + 2*5*4*4) + 2*5*4*2; backward: twice that, less the gradient of the images
    shape = Shape(batch=5, time=2, features=3, hidden=4, classes=2, examples=5, steps=1)
    assert flops("elman", shape) == 3 * (2 * (120 + 160) + 80) - 2 * 120


@pytest.mark.parametrize("cell", CELLS)
def test_operations_are_those_of_the_traced_step(cell):
    task = mnist_task(cell, TINY)
    images = jax.ShapeDtypeStruct((TINY.batch, TINY.time, TINY.features), np.uint8)
    labels = jax.ShapeDtypeStruct((TINY.batch,), np.int32)
    model = nnx.eval_shape(lambda: task.make_model(nnx.Rngs(0), Hparams()))

    def loss(model, images, labels):
        return task.objective(model, images, labels, Hparams(), None)["loss"].mean()

    assert traced(jax.make_jaxpr(jax.grad(loss))(model, images, labels)) == flops(cell, TINY)


def traced(jaxpr):
    """The operations of the matrix products in a traced program, those in a loop as often as it turns."""
    if isinstance(jaxpr, list | tuple):
        return sum(map(traced, jaxpr))
    total = 0
    for equation in getattr(getattr(jaxpr, "jaxpr", jaxpr), "eqns", ()):
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            inner = [equation.invars[0].aval.shape[axis] for axis in contracted]
            total += 2 * math.prod(inner) * equation.outvars[0].aval.size
        total += equation.params.get("length", 1) * traced(list(equation.params.values()))
    return total


def test_floor_and_ratios():
    result = Measured("gru", "ms", {"ours": [2.0, 4.0, 8.0], "torch": [6.0, 8.0, 8.0]}, 10, flops=2e8)
    assert result.floor(100.0) == 2.0
    named = result.metrics(100.0)
    assert {name: np.ravel(value).tolist() for name, value in named.items()} == {
        "gru_parameters": [10],
        "gru_ours_ms": [2, 4, 8],
        "gru_torch_ms": [6, 8, 8],
        "gru_ratio_torch": [3, 2, 1],
        "gru_floor_ms": [2],
        "gru_over_floor": [1, 2, 4],
    }
    ours, torch, flax = result.lines(100.0)
    assert (ours["lower_quartile"], ours["median"], ours["upper_quartile"], ours["over_floor"]) == (3, 4, 6, 2)
    assert (torch["ratio_lower_quartile"], torch["ratio_median"], torch["ratio_upper_quartile"]) == (1.5, 2, 2.5)
    assert ours["ratio_median"] is None and torch["floor"] == 2
    assert {name for name, value in flax.items() if value is not None} == {
        "row",
        "library",
        "unit",
        "parameters",
        "floor",
    }


def test_a_row_without_products_has_no_floor():
    result = Measured("command", "s", {"ours": [2.0]}, 10)
    assert set(result.metrics(100.0)) == {"command_parameters", "command_ours_s"}
    assert all(line["floor"] is None and line["over_floor"] is None for line in result.lines(100.0))


def test_a_round_is_a_turn_of_each_and_another_begins_the_next():
    turns = []
    trainers = {name: lambda steps, name=name: turns.append((name, steps)) for name in "abc"}
    times = measuring.race(trainers, 7, 4)
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert "".join(name for name, steps in turns if steps == 7) == "abcbcacababc"


def test_turns_can_be_of_different_sizes_and_what_goes_before_is_no_larger():
    turns = []
    trainers = {name: lambda steps, name=name: turns.append((name, steps)) for name in "ab"}
    times = measuring.race(trainers, {"a": 5, "b": 1}, 2)
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
    assert turns == [("a", 2), ("a", 5), ("b", 1), ("b", 1), ("b", 1), ("b", 1), ("a", 2), ("a", 5)]


# That all compute the same.


@pytest.mark.parametrize("cell", TORCH)
def test_pytorch_takes_the_same_steps(cell):
    pytest.importorskip("torch", reason="trains with PyTorch itself")
    _, trainers = contestants(cell, TINY)
    ours, torch = ([trainers[library](1) for _ in range(10)] for library in ("ours", "torch"))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, torch, rtol=1e-5)


@pytest.mark.parametrize("cell", FLAX)
def test_flax_takes_the_same_steps_where_it_has_the_same_biases(cell):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (64, TINY.time, TINY.features), np.uint8)
    labels = draw.integers(0, TINY.classes, 64, np.int32)
    trainer = Ours(mnist_task(cell, TINY, bias="single"), (images, labels))
    peer = benchmark.flax_trainer(cell, *trainer.models, [(images.astype(np.float32) / 255, labels)])
    ours, flax = ([train(1) for _ in range(10)] for train in (trainer, peer))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, flax, rtol=1e-5)


# Which rows there are.


def test_every_registered_cell_and_sweep_can_be_asked_for():
    assert tyro.cli(Settings, args=["--rows", *CELLS, *SWEEPS, *TEXTS, *REVIEWS, "command"]).rows == (
        *CELLS, *SWEEPS, *TEXTS, *REVIEWS, "command",
    )  # fmt: skip


def test_every_registered_cell_has_a_row_and_a_new_one_too(monkeypatch, without_clock, tmp_path):
    monkeypatch.setitem(CELLS, "twin", CELLS["gru"])
    assert run(tmp_path / "run", "--quick") == 0
    result, lines = left(tmp_path / "run")
    assert [line["row"] for line in lines if line["library"] == "ours"] == [*CELLS, *SWEEPS, *TEXTS, *REVIEWS]
    assert {f"{cell}_{what}" for cell in CELLS for what in ("ours_ms", "ratio_flax", "floor_ms")} < set(
        result["metrics"]
    )
    assert [len(result["metrics"]["twin_ours_ms"]["runs"])] == [3]


def test_a_cell_that_no_peer_has_trains_alone(monkeypatch):
    monkeypatch.setitem(CELLS, "twin", CELLS["gru"])
    parameters, trainers = contestants("twin", TINY)
    assert list(trainers) == ["ours"] and trainers["ours"](1) > 0
    assert parameters == 3 * 7 * (6 + 7 + 2) + 7 * 3 + 3


def test_without_pytorch_its_places_are_empty(without_torch, tmp_path, capsys):
    assert run(tmp_path / "run", "--quick", "--rows", "gru", "--repeats", "1") == 0
    result, lines = left(tmp_path / "run")
    assert not [name for name in result["metrics"] if "torch" in name] and result["config"]["torch"] is None
    assert [line["median"] == "" for line in lines] == [False, True, False]
    assert "PyTorch" in capsys.readouterr().out


# What is left behind.


def test_the_whole_path_with_quick(tmp_path, capsys):
    assert run(tmp_path / "run", "--quick", "--rows", "elman", "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    assert result["experiment"] == "benchmark" and result["finished"] is True
    assert result["dataset"]["name"] == "random bytes" and result["parameters"] == 16 * (8 + 16 + 2) + 16 * 10 + 10
    for name in ("elman_ours_ms", "elman_flax_ms", "elman_ratio_flax", "elman_over_floor"):
        metric = result["metrics"][name]
        assert (
            len(metric["runs"]) == 2
            and min(metric["runs"]) > 0
            and metric["mean"] == pytest.approx(np.mean(metric["runs"]))
        )
    assert [line["library"] for line in lines] == ["ours", "torch", "flax"]
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == result["config"]
    assert (tmp_path / "run" / "benchmark.png").stat().st_size > 10_000
    assert "586" in capsys.readouterr().out


def test_sweeps_leave_a_table_and_a_figure_of_their_own(without_clock, tmp_path, capsys):
    assert run(tmp_path / "run", "--rows", *SWEEPS, "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.json", "result.json", "benchmark.csv", "sweeps.csv", "sweeps.png"}
    assert result["metrics"]["sweep_tiny_ours_ms"]["runs"] == [1, 1]
    assert result["config"]["sweep_tiny"]["runs"] == 32 and result["config"]["sweep_tiny"]["hidden"] == 5
    assert result["dataset"]["name"] == "palindromes and random numbers" and result["device"] == "2 x cpu"
    assert [line["row"] for line in lines if line["median"]] == list(SWEEPS)
    with open(tmp_path / "run" / "sweeps.csv") as file:
        assert [line["row"] for line in csv.DictReader(file)] == list(SWEEPS)
    assert "sweep_lstm: 32 runs, 9 x 10 -> 128 -> 10, batch 128" in capsys.readouterr().out


def test_what_is_written_is_counted_in_characters_a_second(without_clock, tmp_path, capsys):
    assert run(tmp_path / "run", "--rows", *TEXTS, "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    assert result["metrics"]["generate_64_ours_us"]["runs"] == [2, 2]
    assert result["metrics"]["generate_64_ratio_torch"]["runs"] == [4, 4]
    assert result["metrics"]["char_lm_ours_ms"]["runs"] == [2, 2]
    assert result["config"]["generate_64"]["batch"] == 64 and result["dataset"]["name"] == "random characters"
    said = capsys.readouterr().out
    assert "generate_64: 87 -> 128 -> 128 -> 87, batch 64" in said and "500000" in said and "125000" in said


def test_what_is_trained_on_is_counted_in_reviews_a_second(without_clock, tmp_path, capsys):
    assert run(tmp_path / "run", "--rows", "imdb_gru", "gru", "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    assert result["metrics"]["imdb_gru_torch_packed_ms_review"]["runs"] == [80, 80]
    assert result["metrics"]["imdb_gru_ratio_torch_packed"]["runs"] == [20, 20]
    assert result["config"]["imdb_gru"]["turns"] == {"ours": 20, "torch": 3, "torch_packed": 1}
    assert result["dataset"]["name"] == "random bytes, random words"
    assert [(line["row"], line["library"]) for line in lines if line["median"]] == [
        *[("imdb_gru", library) for library in ("ours", "torch", "torch_packed")],
        *[("gru", library) for library in ("ours", "torch", "flax")],
    ]
    steps, of_reviews = capsys.readouterr().out.split("Reviews trained on a second")
    assert "PyTorch, packed" in of_reviews and "PyTorch, packed" not in steps and "Flax" not in of_reviews
    assert "imdb_gru: 20,002 ids -> 256 -> 256 -> 256 -> 1, up to 400 words, batch 128" in of_reviews
    assert re.search(r"imdb_gru .*1,234.* 250 .* 50\.0 .* 12\.5 .* 5\.00 .* 20\.0 ", of_reviews)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--repeats", "0"], "--repeats must be at least 1, not 0"),
        (["--devices", "999"], "--devices: devices must lie between 1 and the 2"),
        (["--rows", "command", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(options, words, tmp_path, capsys):
    assert run(tmp_path / "run", *options) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and words in said.err and not (tmp_path / "run").exists()


# Whole commands.


@pytest.fixture
def started(monkeypatch):
    """The processes that the benchmark would start: what each was called, its words, and its cache of programs."""
    processes = []

    def pretend(what, words, **environment):
        text = " ".join(words)
        folder = re.search(r"\S*/data\b", text.replace("'", " ")).group()
        assert len(mnist.load_idx_folder(folder).x_train) == 1437
        processes.append((what, text, environment.get("JAX_COMPILATION_CACHE_DIR")))
        return 10.0 * len(processes)

    monkeypatch.setattr(benchmark, "seconds_of", pretend)
    return processes


def test_a_whole_command_begins_without_compiled_programs_and_the_second_first_batch_with_them(started, tmp_path):
    pytest.importorskip("torch", reason="starts PyTorch too")
    assert run(tmp_path / "run", "--quick", "--rows", "command", "first_batch", "--devices", "1") == 0
    whole, student, cold, warm, student_first = started
    assert whole[1].startswith("-m experiments.mnist_gru --epochs 10 ") and whole[1].endswith("--devices 1")
    assert "first_step(['--epochs', '10'" in cold[1] and cold[1] == warm[1]
    assert whole[2] != cold[2] == warm[2] and student[2] is None
    assert student[1].endswith(", 10, 32, False)") and student_first[1].endswith(", 10, 32, True)")
    result, lines = left(tmp_path / "run")
    assert {name: metric["runs"] for name, metric in result["metrics"].items() if not name.endswith("parameters")} == {
        "command_ours_s": [10],
        "command_torch_s": [20],
        "command_ratio_torch": [2],
        "first_batch_cold_ours_s": [30],
        "first_batch_cold_torch_s": [50],
        "first_batch_cold_ratio_torch": [pytest.approx(50 / 30)],
        "first_batch_warm_ours_s": [40],
        "first_batch_warm_torch_s": [50],
        "first_batch_warm_ratio_torch": [1.25],
    }
    assert result["dataset"]["name"] == "digits" and result["parameters"] == 3 * 73_510
    assert {line["unit"] for line in lines} == {"s"}


def test_commands_without_pytorch(without_torch, started, tmp_path):
    assert run(tmp_path / "run", "--quick", "--rows", "command", "first_batch") == 0
    assert [what for what, _, _ in started] == ["mnist_gru"] * 3


@pytest.mark.slow
def test_the_process_of_the_first_step_ends_with_it(tmp_path):
    benchmark.write_idx(tmp_path / "data", mnist.load_digits("a test"))
    arguments = ["--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--epochs", "1000000"]
    text = f"from experiments.benchmark import first_step; first_step({arguments!r})"
    assert benchmark.seconds_of("mnist_gru", ["-c", text]) > 0
    assert (tmp_path / "run" / "config.json").exists() and not (tmp_path / "run" / "checkpoint").exists()
    with pytest.raises(UserError, match=r"ended with 2 \(python -m experiments.mnist_gru: --batch must be"):
        benchmark.seconds_of("mnist_gru", ["-c", text.replace("--epochs", "--batch").replace("1000000", "0")])


def test_a_data_set_is_the_same_after_a_way_through_files(tmp_path):
    dataset = mnist.load_digits("a test")
    benchmark.write_idx(tmp_path / "data", dataset)
    read = mnist.load_idx_folder(tmp_path / "data")
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(read, name), getattr(dataset, name), strict=True)


def test_the_pytorch_program_stands_alone_and_learns(tmp_path, capsys):
    pytest.importorskip("torch", reason="is a program in PyTorch")
    benchmark.write_idx(tmp_path / "data", mnist.load_digits("a test"))
    alone = {}
    exec(inspect.getsource(benchmark.torch_mnist), alone)
    alone["torch_mnist"](tmp_path / "data", 2, 32)
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("epoch 2: ") and float(last.rpartition(" ")[2]) > 0.5  # chance is 0.1


def test_a_command_that_fails_is_one_line():
    with pytest.raises(UserError, match=r"the thing ended with 3 \(no luck\): run it by itself"):
        benchmark.seconds_of("the thing", ["-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])
