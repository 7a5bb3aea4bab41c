"""What the README says is true: its snippet runs, and the commands it names exist."""

import re
from pathlib import Path

import jax
import numpy as np

from experiments import EXPERIMENTS, TOOLS

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_snippet_runs_and_does_what_its_comments_say():
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(snippet, names)
    layers, xs = names["layers"], names["xs"]
    padded = xs.at[1, 7:].set(np.nan).at[2, 3:].set(np.nan).at[3].set(np.nan)
    _, ys = layers(padded, lengths=np.array([10, 7, 3, 0]))
    np.testing.assert_allclose(ys[1, :7], layers(xs[1:2, :7])[1][0], atol=1e-6)
    assert not ys[3].any() and ys.shape == (4, 10, 32)
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in jax.tree.leaves(names["gradients"]))
    assert names["ys"].shape == (4, 10, 8)


def test_the_commands_exist():
    named = set(re.findall(r"python -m experiments\.(\w+)", README))
    assert named and named <= {*EXPERIMENTS, *TOOLS}
    assert [name for name in EXPERIMENTS if name not in README] == []
    assert set(TOOLS) <= named


def test_the_figures_are_there_and_small():
    figures = [Path(__file__).parents[1] / name for name in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", README)]
    assert figures and all(figure.stat().st_size < 200_000 for figure in figures)
