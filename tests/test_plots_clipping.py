"""The figure of clipped gradients: the numbers of its lines, where the limit is, and its words."""

import numpy as np
import pytest

from jaxrnn.plots import clipping
from test_plots import assert_legible, words

NAN = np.nan


def panel(runs=2, steps=3, seed=0):
    dice = np.random.default_rng(seed)
    return {name: 10 ** dice.normal(size=(runs, steps)) for name in ("norm", "loss")}


def test_every_step_of_every_run_is_drawn_and_the_limit_among_the_norms():
    one, other = panel(), panel(seed=1)
    figure = clipping.norms({"clipped": one, "not clipped": other}, 10, "norms")
    for column, drawn in enumerate((one, other)):
        norms, losses = figure.axes[column], figure.axes[2 + column]
        *runs, limit = norms.lines
        for axes, lines, what in ((norms, runs, "norm"), (losses, losses.lines, "loss")):
            assert len(lines) == 2 and axes.get_shared_y_axes().joined(axes, figure.axes[2 * (what == "loss")])
            for line, values in zip(lines, drawn[what], strict=True):
                np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
                np.testing.assert_allclose(line.get_ydata(), np.log10(values))
        assert list(limit.get_ydata()) == [1, 1]
        assert [line.get_color() for line in runs] == [line.get_color() for line in losses.lines]
    assert len({line.get_color() for line in runs}) == len({str(line.get_linestyle()) for line in runs}) == 2
    assert [axes.get_title() for axes in figure.axes] == ["clipped", "not clipped", "", ""]
    assert words(figure) == ["", "seed 0", "seed 1", "clipped above 10"]


def test_of_many_steps_each_place_has_the_largest_and_what_has_no_logarithm_is_left_out():
    norm = np.ones((1, 302))
    norm[0, 4], norm[0, 5], norm[0, 300], norm[0, 301] = 100, NAN, 0, NAN
    loss = np.full((1, 302), NAN)
    figure = clipping.norms({"not clipped": {"norm": norm, "loss": loss}}, np.inf, "")
    (line,) = figure.axes[0].lines  # an infinite limit is none
    np.testing.assert_array_equal(line.get_xdata(), 1 + 3 * np.arange(101))
    expected = np.zeros(101)
    expected[1], expected[100] = 2, NAN
    np.testing.assert_array_equal(line.get_ydata(), expected)
    assert np.isnan(figure.axes[1].lines[0].get_ydata()).all()
    assert words(figure) == ["the largest of every 3 steps", "seed 0"]


def explosive(runs, steps, seed):
    """Norms and losses that fall, but for a step in a hundred."""
    spikes = 10 ** (3 * (np.random.default_rng(seed).uniform(size=(runs, steps)) < 0.01))
    falling = np.exp(-6 * np.arange(steps) / steps) * np.arange(1, runs + 1)[:, None]
    return {"norm": falling * spikes, "loss": falling * np.sqrt(spikes)}


@pytest.mark.parametrize("panels, runs, steps", [(2, 3, 1500), (1, 1, 10), (2, 8, 300)])
def test_it_is_legible(panels, runs, steps, tmp_path):
    drawn = {f"clipped to {10 * k}": explosive(runs, steps, k) for k in range(1, panels + 1)}
    figure = clipping.norms(drawn, 10, "The gradient's norm before clipping, and the loss: palindromes of 20 digits")
    assert_legible(figure, tmp_path / "norms.png")
