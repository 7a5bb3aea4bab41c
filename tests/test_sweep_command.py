"""The command that sweeps, as a user types it: what it explains, what it refuses before anything trains, and a sweep of
each kind from start to end."""

import csv
import json
import math

import numpy as np
import pytest

from experiments import SWEEPABLE
from experiments.sweep import experiment_called, find, run, settings_of
from jaxrnn import plots
from jaxrnn.sweeps import Swept, sweepable
from runs import files

WELL = "--grid hidden=4,8"


def typed(out, words):
    return run([*words.split(), "--out", str(out)])


@pytest.mark.parametrize(
    "words, message",
    [
        ("mnist_gru", "the grid is empty: give at least one setting by --grid name=value,value"),
        ("mnist_gru --quick --grid", "the grid is empty: give at least one setting by --grid name=value,value"),
        ("--grid hiden=4", "--grid hiden=4: there is no setting 'hiden'; there are hidden, init,"),
        (
            "mnist_gru --quick --grid hiden=4,8",
            "--grid hiden=4,8: there is no setting 'hiden'; there are hidden, init,",
        ),
        ("mnist_gru --quick --grid length=4,8", "--grid length=4,8: there is no setting 'length'; there are hidden,"),
        ("mnist_gru --quick --grid metric=a,b", "--grid metric=a,b: there is no setting 'metric'; there are hidden,"),
        ("mnist_gru --quick --grid epochs=1,2", "--grid epochs=1,2: epochs is the same for all runs of a sweep; what"),
        ("mnist_gru --quick --grid seed=1,2", "--grid seed=1,2: seed is the same for all runs of a sweep; what can"),
        ("mnist_gru --quick --grid predict=a", "--grid predict=a: predict is the same for all runs of a sweep; what"),
        ("palindromes --quick --grid steps=1,2", "--grid steps=1,2: steps is the same for all runs of a sweep; what"),
        ("mnist_gru --quick --grid cell=gru,foo", "--grid cell=gru,foo: the setting cannot be 'foo'; see --help for"),
        ("mnist_gru --quick --grid hidden=x", "--grid hidden=x: the setting cannot be 'x'; see --help for"),
        ("mnist_gru --quick --grid mnist_gru", "--grid mnist_gru: write name=value,value or name=log:low:high:count"),
        (
            f"mnist_gru --quick {WELL} --grid cell=gru",
            "--grid is given twice: write all that is swept after one --grid",
        ),
        ("mnist_gru --quick --grid=cell=gru --grid=hidden=4", "--grid is given twice: write all that is swept after"),
        ("mnist_gru --quick --grid learning_rate=log:1e-4:1", "--grid learning_rate: of a range, say how many values"),
        ("mnist_gru --quick --grid hidden=4,0", "--hidden must be at least 1, not 0 (in hidden=0)"),
        (
            "mnist_gru --quick --grid dropout=0,1.5",
            "--dropout must be at least 0 and below 1, not 1.5 (in dropout=1.5)",
        ),
        (
            "mnist_gru --quick --grid cell=gru,lstm hidden=0,4",
            "--hidden must be at least 1, not 0 (in cell=gru hidden=0)",
        ),
        ("mnist_gru --quick --dropout 1.5", "--dropout must be at least 0 and below 1, not 1.5"),
        (
            "palindromes --quick --grid length=2,3",
            "--length must be at least 3, so that there is something to keep, not",
        ),
        (
            "palindromes --quick --cell gru --grid forget_bias=None,1",
            "--forget-bias is the LSTM's, and the cell is gru",
        ),
        ("mnist_gru --quick --grid validation=100,9999", "--validation 9999 leaves nothing of 1437 examples"),
        ("mnist_gru --quick --random -1", "--random must be at least 1, not -1"),
        ("mnist_gru --quick --random 3 --grid", "there is nothing to draw from: give at least one setting by --grid"),
        ("mnist_gru --quick --width 100000000", "too many runs for the memory: 100000000 at once on each of 2 devices"),
        ("mnist_gru --quick --grid hidden=4,10000000", "too many runs for the memory: 1 at once on each of 2 devices"),
        ("mnist_gru --quick --width -1", "--width must be at least 0, not -1"),
        ("mnist_gru --quick --halvings -1", "--halvings must be at least 0, not -1"),
        ("mnist_gru --quick --halvings 9", "--halvings 9 needs at least 512 epochs (evaluations), not 10"),
        ("palindromes --steps 10 --every 3 --grid length=3", "--every must divide the 10 --steps, and 3 does not"),
        ("mnist_gru --quick --coordinator h:1", "--coordinator HOST:PORT, --processes N and --process I are given"),
        (
            "mnist_gru --quick --processes 2",
            "--coordinator HOST:PORT, --processes N and --process I are given together",
        ),
        (
            "mnist_gru --quick --coordinator h:1 --process 3 --processes 2",
            "--process must lie between 0 and 1, not 3",
        ),
        ("mnist_gru --quick --devices 99", "--devices: devices must lie between 1 and the 2 there are, not 99"),
        ("mnist_gru --quick --devices 0", "--devices must be at least 1, not 0"),
        ("mnist_gru --quick --seeds 0", "--seeds must be at least 1, not 0"),
        ("mnist_gru --quick --epochs 0", "--epochs must be at least 1, not 0"),
        ("mnist_gru --quick --data-dir nowhere", "nowhere"),
        ("mnist_gru --quick --resume", "there is nothing to resume in"),
        ("--grid length=3,4 palindromes", "the experiment's name comes first, before --grid and all other options"),
        ("--metric mnist_gru palindromes", "the experiment's name comes first, before --grid and all other options"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2_and_makes_no_folder(tmp_path, capsys, words, message):
    assert typed(tmp_path / "run", words) == 2
    said = capsys.readouterr().err
    assert said.startswith("python -m experiments.sweep: ") and said.count("\n") == 1 and said.endswith("\n")
    assert message in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words, message",
    [
        ("nonsense --quick", "invalid choice 'nonsense' for argument 'experiment'"),
        ("mnist_fnn --epochs 3", "invalid choice 'mnist_fnn' for argument 'experiment'"),
        ("mnist_gru --quick --gird hidden=4", "--gird"),
        ("mnist_gru --quick --predict image.png", "--predict"),
        ("mnist_gru --steps 3 --grid hidden=4", "--steps"),
    ],
)
def test_what_is_mistyped_ends_with_2_and_makes_no_folder(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as end:
        typed(tmp_path / "run", words)
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def helped(capsys, *words):
    with pytest.raises(SystemExit) as end:
        run([*words, "--help"])
    assert end.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


OF_A_SWEEP = ("--grid", "--random", "--seeds", "--seed", "--metric", "--width", "--halvings", "--devices", "--resume",
              "--coordinator", "--processes", "--process", "--out", "--quick")  # fmt: skip


def test_help_explains_a_sweep_and_names_the_experiments(capsys):
    text = helped(capsys)
    assert "usage: python -m experiments.sweep" in text and f"{{{','.join(SWEEPABLE)}}}" in text
    assert all(f"{option} " in text for option in OF_A_SWEEP)
    assert "learning_rate=log:1e-4:1e-1:7 dropout=lin:0:0.5:6" in text and "Successive halving" in text


@pytest.mark.parametrize("name", SWEEPABLE)
def test_help_explains_the_experiment_s_settings_too(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = helped(capsys, name)
    settings = experiment_called(name).settings()
    # a switch that is on has an option that turns it off
    own = [f"--{'no-' * (getattr(settings, one) is True)}{one.replace('_', '-')}" for one in sweepable(type(settings))]
    assert all(f"{option} " in text for option in (*OF_A_SWEEP, *own))
    assert "--predict" not in text and "--evaluate" not in text
    assert (
        "How many runs to train of each setting: mean and interval of every number come from them. (default: 3)" in text
    )


@pytest.mark.parametrize("name", SWEEPABLE)
def test_a_sweep_has_the_experiment_s_defaults(name):
    ours, theirs = settings_of(experiment_called(name))(), experiment_called(name).settings()
    assert {one: getattr(ours, one) for one in sweepable(type(theirs))} == {
        one: getattr(theirs, one) for one in sweepable(type(theirs))
    }


def swept(points, statuses, metric="test_accuracy", **more):
    """A sweep over these points with two seeds, the points' runs with these statuses, as it was trained."""
    rows = [
        {"run": 2 * p + s, "point": p, **point, "seed": s, "status": status, "test_accuracy": (p + s) / 10}
        | {name: values[p] for name, values in more.items() if values[p] is not None}
        for p, (point, status) in enumerate(zip(points, statuses, strict=True))
        for s in range(2)
    ]
    history = [{"run": row["run"], "epoch": e, "test_accuracy": row["test_accuracy"]} for row in rows for e in (1, 2)]
    return Swept(points, 2, [], [], rows, history, metric, "accuracy" in metric)


PAIRS = [{"hidden": hidden, "cell": cell} for hidden in (4, 8) for cell in ("gru", "lstm")]


@pytest.fixture
def drawn(monkeypatch):
    """What the figures were drawn from, by their names."""
    found = {}

    def watch(name, draw):
        monkeypatch.setattr(plots.sweeps, name, lambda *given: found.update({name: given}) or draw(*given))

    watch("heatmap", plots.sweeps.heatmap)
    watch("parallel", plots.sweeps.parallel)
    return found


def test_all_pairs_of_two_settings_have_a_map(tmp_path, drawn):
    finding = find("mnist_gru", swept(PAIRS, ["finished"] * 4), tmp_path)
    x, y, scores, half_widths, title, metric, best = drawn["heatmap"]
    assert (x, y) == (("hidden", [4, 8]), ("cell", ["gru", "lstm"]))
    np.testing.assert_allclose(scores, [[0.05, 0.25], [0.15, 0.35]])
    np.testing.assert_allclose(half_widths, 0.05 * 12.7062, rtol=1e-5)  # t of one degree of freedom
    assert (title, metric, best) == ("mnist_gru: test accuracy", "test_accuracy", "high")
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "heatmap.png", "parallel.png"}
    assert finding.top == {"best": {"settings": PAIRS[3], "by": "test_accuracy"}}
    assert list(finding.metrics) == ["test_accuracy"]
    np.testing.assert_allclose(finding.metrics["test_accuracy"], [0.3, 0.4])


def test_pairs_drawn_at_random_have_a_map_only_if_none_is_missing(tmp_path, drawn):
    find("mnist_gru", swept([PAIRS[0], PAIRS[0], PAIRS[1], PAIRS[2]], ["finished"] * 4), tmp_path)
    assert set(drawn) == {"parallel"} and not (tmp_path / "heatmap.png").exists()
    find("mnist_gru", swept([PAIRS[3], *PAIRS], ["finished"] * 5), tmp_path)
    assert set(drawn) == {"parallel", "heatmap"}


def test_settings_left_at_a_halving_have_not_diverged(tmp_path, drawn):
    statuses = ["halved after epoch 1", "diverged at step 3", "finished", "finished"]
    find("mnist_gru", swept(PAIRS, statuses), tmp_path)
    names, points, scores, title, *_ = drawn["parallel"]
    assert "heatmap" not in drawn and names == ["hidden", "cell"] and points == PAIRS[1:]
    np.testing.assert_allclose(scores, [math.nan, 0.25, 0.35])
    assert title == "mnist_gru: test accuracy, without the 1 of 4 settings left at a halving"


def test_the_best_setting_s_metrics_are_those_that_it_has(tmp_path):
    points = [{"patience": patience} for patience in (0, 2)]
    assert (
        "last_test_loss"
        in find("mnist_gru", swept(points, ["finished", "stopped early"], last_test_loss=[None, 1.0]), tmp_path).metrics
    )
    assert (
        "last_test_loss"
        not in find(
            "mnist_gru", swept(points, ["finished", "halved after epoch 1"], last_test_loss=[None, 1.0]), tmp_path
        ).metrics
    )


def test_one_setting_alone_has_curves(tmp_path, drawn):
    find("mnist_gru", swept([{"hidden": 4}], ["finished"]), tmp_path)
    assert not drawn and {path.name for path in tmp_path.iterdir()} == {"curves.png"}


def outcome(out):
    """``result.json``, and the rows of ``sweep.csv``."""
    with open(out / "sweep.csv") as file:
        rows = list(csv.DictReader(file))
    return json.loads((out / "result.json").read_text()), rows


TINY = "--quick --epochs 2 --seeds 2"
FILES = {"config.json", "history.csv", "result.json", "sweep.csv", "chunks", "curves.png", "parallel.png"}


def means(rows, metric):
    """The mean of a metric over the seeds of each point."""
    points = sorted({int(row["point"]) for row in rows})
    of = {point: [float(row[metric]) for row in rows if int(row["point"]) == point] for point in points}
    return {point: math.fsum(values) / len(values) for point, values in of.items()}


@pytest.mark.slow
def test_three_settings_drawn_at_random_from_start_to_end(tmp_path, capsys):
    grid = "learning_rate=log:1e-3:1e-1 hidden=lin:3:4 clip_norm=1,inf"
    assert typed(tmp_path / "run", f"mnist_gru {TINY} --random 4 --grid {grid}") == 0
    result, rows = outcome(tmp_path / "run")
    assert [(int(row["point"]), int(row["seed"])) for row in rows] == [(p, s) for p in range(4) for s in range(2)]
    assert {row["status"] for row in rows} == {"finished"} and {row["epochs"] for row in rows} == {"2"}
    for row in rows:
        assert 1e-3 <= float(row["learning_rate"]) <= 1e-1
        assert row["hidden"] in ("3", "4") and row["clip_norm"] in ("1.0", "inf")
    assert len({row["learning_rate"] for row in rows}) == 4
    scores = means(rows, "test_accuracy")
    best = rows[2 * max(scores, key=scores.get)]
    assert result["best"]["by"] == "test_accuracy"
    assert result["best"]["settings"]["learning_rate"] == float(best["learning_rate"])
    assert result["best"]["settings"]["hidden"] == int(best["hidden"])
    assert result["metrics"]["runs"]["runs"] == [8]
    assert result["metrics"]["test_accuracy"]["mean"] == pytest.approx(max(scores.values()))
    assert result["finished"] is True and result["experiment"] == "sweep" and result["dataset"]["name"] == "digits"
    assert files(tmp_path / "run") == FILES
    said = capsys.readouterr().out
    assert "4 settings x 2 seeds, 8 runs" in " ".join(said.split()) and "8 of 8 runs finished" in " ".join(said.split())


@pytest.mark.slow
def test_one_setting_of_words_from_start_to_end(tmp_path):
    assert typed(tmp_path / "run", f"mnist_gru {TINY} --hidden 4 --grid cell=gru,elman --metric test_loss") == 0
    result, rows = outcome(tmp_path / "run")
    assert [(row["cell"], row["seed"], row["status"]) for row in rows] == [
        (cell, seed, "finished") for cell in ("gru", "elman") for seed in ("0", "1")
    ]
    scores = means(rows, "test_loss")
    assert result["best"] == {"settings": {"cell": ["gru", "elman"][min(scores, key=scores.get)]}, "by": "test_loss"}
    assert result["metrics"]["runs"]["runs"] == [4]
    assert files(tmp_path / "run") == FILES
    with open(tmp_path / "run" / "history.csv") as file:
        history = [(int(row["run"]), int(row["epoch"])) for row in csv.DictReader(file)]
    assert history == [(r, e) for r in range(4) for e in (1, 2)]
