"""The command on optimisers: its rules of comparison, what it measures, and settings that make no sense."""

import csv
import json
import math

import numpy as np
import pytest

from experiments import bowls, norms, optimizers
from experiments.bowls import CARRIED_OVER, FRACTION, GRID, HORIZON, POLYAK, TITLES, TUNED
from experiments.norms import Trace
from experiments.optimizers import Settings
from experiments.palindrome import PalindromeSettings
from jaxrnn.command import command
from jaxrnn.sweeps import Swept

ADAPTIVE, EXACT = ("rmsprop_torch", "adam"), ("sgd", "momentum")


def run(*options):
    return command("optimizers", Settings, optimizers.main, ["--quick", *map(str, options)])


# --- the bowls --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def followed():
    return bowls.follow()


@pytest.fixture(scope="module")
def rows(followed):
    return {(row["bowl"], row["optimiser"], row["settings"]): row for row in bowls.counted(followed)}


def test_what_is_followed_is_the_closed_form(followed):
    assert followed.max_error < 1e-12
    assert followed.stable["sgd"].sum() > 20 and followed.stable["momentum"].sum() > followed.stable["sgd"].sum()
    for paths in followed.paths.values():
        assert {name: path.shape for name, path in paths.items()} == dict.fromkeys(TITLES, (len(GRID), HORIZON + 1, 2))


def test_polyak_s_settings_are_those_of_the_formulas(followed):
    slow, fast = followed.settings["sgd"], followed.settings["momentum"]
    assert [float(of) for of in slow] == pytest.approx([2 / 101, 0, 99 / 101])
    assert [float(of) for of in fast] == pytest.approx([(2 / 11) ** 2, (9 / 11) ** 2, 9 / 11])


@pytest.mark.parametrize("bowl", bowls.BOWLS)
@pytest.mark.parametrize("name", TITLES)
def test_the_fair_rate_is_the_first_that_stays_down_without_ever_being_higher(bowl, name, followed):
    heights = np.where(np.isfinite(followed.heights[bowl][name]), followed.heights[bowl][name], np.inf)
    best = bowls.tuned(followed.heights[bowl][name])

    def stays(path):
        late = np.flatnonzero(path > FRACTION)[-1] + 1
        return late if late <= HORIZON else math.inf

    fair = {place: stays(path) for place, path in enumerate(heights) if path.max() <= 1 + 1e-12}
    assert fair[best] == min(fair.values()) < math.inf
    assert bowls.steps_down(heights[best], stay=True) == fair[best]


def test_only_adaptive_optimisers_see_how_the_bowl_lies(rows):
    for name in EXACT:
        there = {rows[bowl, name, rule]["stays"] for bowl, name_, rule in rows if name_ == name and rule != POLYAK}
        assert len(there) == 1
    for name in ADAPTIVE:
        first, then = rows["aligned", name, TUNED]["reached"], rows["turned", name, CARRIED_OVER]["reached"]
        assert then == -1 or then > 3 * first > 0
    steps = {name: rows["aligned", name, POLYAK]["stays"] for name in EXACT}
    assert 4 * steps["momentum"] < steps["sgd"]


def test_rates_that_never_stay_down_are_no_candidates():
    wild, early, late = [1, 2, 0, 0, 0], [1, 0, 1, 1, 0], [1, 0.5, 0, 0, 0]
    assert bowls.tuned(np.array([wild, early, late], float)) == 2
    assert bowls.tuned(np.array([[1, np.inf, np.nan, np.nan, np.nan], early], float)) == 1


# --- palindromes ------------------------------------------------------------------------------------------------------


def swept(accuracies, clips=(10.0,)):
    """Two rates of SGD for each clip norm, two runs each, of which the validation accuracies are given by epoch."""
    points = [{"optimiser": "sgd", "learning_rate": rate, "clip_norm": clip} for clip in clips for rate in (0.1, 0.3)]
    history = [
        {"run": run, "epoch": epoch, "validation_accuracy": value, "gradient_norm": 20.0 * (epoch == 1)}
        for run, values in enumerate(accuracies)
        for epoch, value in enumerate(values, start=1)
    ]
    rows = [
        {"run": run, "point": run // 2, "status": "finished", "validation_accuracy": max(values)}
        for run, values in enumerate(accuracies)
    ]
    return Swept(points, 2, [], {}, rows, history, "validation_accuracy", True)


def test_a_run_has_solved_it_at_its_own_first_evaluation_that_says_so():
    """Also where another run of the point failed early and has fewer rows."""
    found = swept([[0.5], [0.5, 1.0, 0.2], [0.9995, 1, 1], [0.1, 0.1, 0.998]])
    np.testing.assert_array_equal(optimizers.solved_at(found, 0, 25), [np.nan, 50])
    np.testing.assert_array_equal(optimizers.solved_at(found, 1, 25), [25, np.nan])


@pytest.mark.parametrize(
    "accuracies, best, good",
    [
        ([[0.5, 1, 1], [0.5, 1, 1], [1, 1, 1], [0.5, 0.5, 1]], 0, 2),  # as many, and as soon: the better mean first
        ([[0.5, 1, 1], [0.5, 1, 1], [1, 1, 1], [0.5, 1, 1]], 1, 2),  # as many, but sooner
        ([[1, 1, 1], [0.5, 0.5, 0.5], [0.5, 0.5, 1], [0.5, 0.5, 1]], 1, 1),  # more, though later
        ([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.6, 0.6, 0.5], [0.5, 0.5, 0.5]], 1, 0),  # none: by validation
    ],
)
def test_the_best_rate_is_that_of_most_solutions_then_of_the_soonest(accuracies, best, good):
    one = optimizers.compare(Settings(optimisers=("sgd",), seeds=2), swept(2 * accuracies, clips=(10.0, math.inf)))
    assert (one["sgd", True].point, one["sgd", False].point) == (best, 2 + best)
    assert one["sgd", True].good == good and one["sgd", True].above == pytest.approx(1 / 3)


def test_every_optimiser_has_as_many_rates_clipped_and_not():
    points = optimizers.points(Settings())
    assert len({tuple(point.items()) for point in points}) == len(points) == 32
    for name in TITLES:
        mine = [point for point in points if point["optimiser"] == name]
        assert len(mine) == 8 and {point["clip_norm"] for point in mine} == {10.0, math.inf}
        rates = sorted({point["learning_rate"] for point in mine})
        np.testing.assert_allclose(rates, optimizers.RATES[name][0] * np.array([1, 3, 10, 30]))


# --- clipping ---------------------------------------------------------------------------------------------------------


SMALL = {"cell": "elman", "length": 4, "seeds": 2, "hidden": 8, "batch": 16, "steps": 12, "every": 12}


def test_runs_are_the_same_until_the_first_step_that_is_clipped():
    trace = norms.follow(PalindromeSettings(**SMALL, clip_norm=0.25))
    assert trace.norm.shape == trace.loss.shape == trace.update.shape == (2, 2, 12)
    assert np.isfinite(trace.norm).all()
    for clipped, free in zip(trace.norm[0], trace.norm[1], strict=True):
        first = np.flatnonzero(free > 0.25)[0]
        np.testing.assert_array_equal(clipped[: first + 1], free[: first + 1])
        assert np.any(clipped != free)
    assert not np.array_equal(trace.norm[1, 0], trace.norm[1, 1])


def test_a_limit_that_no_gradient_reaches_changes_nothing():
    trace = norms.follow(PalindromeSettings(**SMALL, clip_norm=1e6))
    for values in trace:
        np.testing.assert_array_equal(values[0], values[1])


def test_a_trace_of_runs_that_failed():
    norm = np.array([[[1.0, 20, 3, np.nan]], [[np.nan] * 4]])
    trace = Trace(norm, norm / 2, 2 * norm)
    np.testing.assert_array_equal(trace.share_above(10), [[0.25], [0]])
    np.testing.assert_array_equal(norms.largest(trace.norm), [[20], [np.nan]])
    np.testing.assert_array_equal(trace.update_there(), [[10], [np.nan]])
    np.testing.assert_array_equal(trace.last_loss(), [[np.nan], [np.nan]])
    assert norms.median(trace.norm[0, 0]) == 3 and np.isnan(norms.median(trace.norm[1, 0]))


# --- what is said -----------------------------------------------------------------------------------------------------


def tried(*solved):
    return optimizers.Tried(point=0, rate=0.1, rates=4, good=1, solved=np.array(solved), above=0.25)


@pytest.mark.parametrize(
    "adam, verdict",
    [((50, 75), "do with Adam."), ((50, np.nan), "do with none."), ((100, 300), "do with none.")],
)
def test_an_optimiser_is_better_of_which_more_runs_solve_it_or_as_many_sooner(adam, verdict):
    rows = [
        {"bowl": bowl, "optimiser": name, "settings": rule, "stays": 7}
        for bowl, rule in (("aligned", TUNED), ("turned", CARRIED_OVER))
        for name in TITLES
    ]
    trained = {("sgd", True): tried(100, 200), ("adam", True): tried(*adam)}
    assert optimizers.benefits(Settings(optimisers=("sgd", "adam"), seeds=2), rows, trained).endswith(verdict)


def test_clipping_is_judged_where_there_was_something_to_clip():
    norm, loss = np.array([[[1.0, 20]], [[1, 30]]]), np.array([[[2.0, 1]], [[2, 3]]])

    def said(norm):
        return optimizers.what_clipping_does(Settings(seeds=1), Trace(norm, norm, loss))

    assert "the largest norm is 30" in said(norm) and "is lower for 1 of 1 seeds." in said(norm)
    assert "there was nothing to clip" in said(norm / 10)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_run_leaves_behind(tmp_path):
    out = tmp_path / "run"
    assert run("--out", out, "--optimisers", "sgd", "adam") == 0
    metrics = json.loads((out / "result.json").read_text())["metrics"]
    assert metrics["max_error"]["mean"] < 1e-12 and metrics["quadratic_sgd_steps"]["mean"] > 100
    assert {"adam_test_accuracy", "sgd_solved_at_step", "clipped_largest_norm", "unclipped_last_loss"} <= set(metrics)
    assert len(metrics["adam_test_accuracy"]["runs"]) == len(metrics["clipped_largest_norm"]["runs"]) == 2
    with open(out / "norms.csv") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * Settings.quick_defaults().steps
    with open(out / "quadratic.csv") as file:
        assert {row["optimiser"] for row in csv.DictReader(file)} == set(TITLES)
    figures = {path.name for path in out.glob("*.png")}
    assert figures == {"contours.png", "values.png", "curves.png", "rates.png", "clipping.png"}


@pytest.mark.parametrize(
    "options, words",
    [
        (["--optimisers", "sgd", "sgd"], "--optimisers must name at least one, and each once"),
        (["--clip-length", "2"], "--clip-length must be at least 3"),
        (["--clip-norm", "inf"], "--clip-norm must be above 0 and finite"),
        (["--length", "2"], "--length must be at least 3"),
        (["--every", "7"], "--every must divide"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(options, words, tmp_path, capsys):
    assert run("--out", tmp_path / "run", *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said
    assert not (tmp_path / "run").exists()
