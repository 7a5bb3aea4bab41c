"""What the README says is true: its snippet runs, and the commands it names exist."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import EXPERIMENTS, TOOLS

README = (Path(__file__).parents[1] / "README.md").read_text()


LIBRARY, OWN_CELL = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_snippet_runs_and_does_what_its_comments_say(capsys):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra bench")
    names = {}
    exec(LIBRARY, names)
    assert names["losses"][3] < 0.2 < 2 < names["losses"][0]
    assert "the cat" in capsys.readouterr().out and names["drawn"].shape == (60,)
    layers, xs = names["layers"], names["xs"]
    padded = xs.at[1, 7:].set(np.nan).at[2, 3:].set(np.nan).at[3].set(np.nan)
    _, ys = layers(padded, lengths=np.array([10, 7, 3, 0]))
    np.testing.assert_allclose(ys[1, :7], layers(xs[1:2, :7])[1][0], atol=1e-6)
    assert not ys[3].any() and ys.shape == (4, 10, 32)
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in jax.tree.leaves(names["gradients"]))
    theirs = names["theirs"](torch.from_numpy(np.array(xs)))[0].detach().numpy()
    np.testing.assert_allclose(names["ours"](xs)[1], theirs, atol=1e-5)
    lines = [line for line in LIBRARY.splitlines() if line and not line.startswith(("#", "import", "from"))]
    assert len(lines) <= 30


def test_a_cell_of_one_s_own_is_unrolled():
    names = {}
    exec(OWN_CELL, names)
    xs, ys, w = names["xs"], names["ys"], names["Leaky"](8, rngs=nnx.Rngs(1)).w[...]
    assert ys.shape == (4, 10, 8)
    np.testing.assert_allclose(ys[:, 8], 0.9 * w * xs[:, 9] + w * xs[:, 8], atol=1e-6)  # in reverse


def test_the_commands_exist():
    named = set(re.findall(r"python -m experiments\.(\w+)", README))
    assert named and named <= {*EXPERIMENTS, *TOOLS}
    assert [name for name in EXPERIMENTS if name not in README] == []
    assert set(TOOLS) <= named


def test_the_figures_are_there_and_small():
    figures = [Path(__file__).parents[1] / name for name in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", README)]
    assert figures and all(figure.stat().st_size < 200_000 for figure in figures)
