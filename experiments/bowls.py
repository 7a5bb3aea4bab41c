"""Optimisers followed down an ill-conditioned quadratic bowl: steps, table and figures (U5).

Not a command itself: see `optimizers`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from jaxrnn import plots, quadratic, runfolder
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.quadratic import Bowl
from jaxrnn.typing import Array
from jaxrnn.words import OPTIMISER_NAMES

TITLES = {name: OPTIMISER_NAMES[name] for name in ("sgd", "momentum", "rmsprop_torch", "adam")}
"""The optimisers, and what they are called."""

MOMENTUM = 0.9
"""That of `jaxrnn.optimisers.OPTIMISERS`."""

CURVATURES = np.array([1.0, 100.0])
BOWLS = {"aligned": Bowl(CURVATURES), "turned": Bowl(CURVATURES, math.pi / 4)}
"""The same bowl on the coordinate axes and turned by 45 degrees."""

BOWL_TITLES = {"aligned": "on the axes", "turned": "turned by 45°"}

START, FRACTION, HORIZON = (4.0, 2.0), 1e-4, 1000
"""Where on the bowl's own axes the optimisers start, which part of the height there they shall reach, and the number of
steps for which they are followed."""

GRID = 10.0 ** (np.arange(-40, 11) / 10)
"""The learning rates that each optimiser is tried with: ten a decade."""

TUNED, CARRIED_OVER, POLYAK = "tuned", "as on axes", "Polyak's best"
"""Where settings for a bowl come from: the best of `GRID` on it, the best on the aligned bowl, or those with which SGD
and momentum converge fastest in the long run."""

PAIRS = (("sgd", "momentum"), ("rmsprop_torch", "adam"))
"""The optimisers that share a panel of the contours."""

_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` for programs that run once: compiled in half the time."""


class Followed(NamedTuple):
    """Where the optimisers go on the bowls: arrays by bowl, and by optimiser where they have one."""

    paths: dict[str, dict[str, np.ndarray]]
    """For every rate of `GRID` the points of a trajectory, ``(rates, t, 2)``."""
    heights: dict[str, dict[str, np.ndarray]]
    """The function there, as a part of that at the start, ``(rates, t)``."""
    exact: dict[str, dict[str, np.ndarray]]
    """The closed forms of SGD and momentum, as ``paths``."""
    exact_heights: dict[str, dict[str, np.ndarray]]
    """The same, as ``heights``."""
    best: dict[str, dict[str, np.ndarray]]
    """The heights of SGD and momentum with Polyak's settings, followed, ``(t,)``."""
    best_exact: dict[str, dict[str, np.ndarray]]
    """The same by their closed forms."""
    settings: dict[str, quadratic.Settings]
    """Polyak's, by optimiser."""
    stable: dict[str, np.ndarray]
    """Whether SGD and momentum converge at a rate, by optimiser, ``(rates,)``."""
    matrices: dict[str, np.ndarray]
    """What the bowls are, ``(2, 2)``."""
    max_error: float
    """The largest difference of a point of SGD or momentum to its closed form, where they converge."""


def follow() -> Followed:
    """Follow every optimiser on both bowls for `HORIZON` steps, with every rate of `GRID`, in double precision."""
    bowl = BOWLS["aligned"]
    with jax.enable_x64(True):
        found = jax.device_get(_once(lambda rates: {name: _follow(bowl, rates) for name, bowl in BOWLS.items()})(GRID))
        settings = {"sgd": quadratic.best_descent(bowl), "momentum": quadratic.best_heavy_ball(bowl)}
        limits = {"sgd": quadratic.limit(bowl), "momentum": quadratic.limit(bowl, MOMENTUM)}
    stable = {name: GRID < float(limit) for name, limit in limits.items()}
    errors = [
        np.abs(one["paths"][name][stable[name]] - exact[stable[name]]).max()
        for one in found.values()
        for name, exact in one["exact"].items()
    ]
    errors += [one.pop("best_error") for one in found.values()]
    by_field = {name: {bowl: one[name] for bowl, one in found.items()} for name in found["aligned"]}
    return Followed(**by_field, settings=settings, stable=stable, max_error=float(max(errors)))


def _follow(bowl: Bowl, rates: Array) -> dict[str, Any]:
    start = quadratic.from_axes(bowl, np.array(START))
    t = np.arange(HORIZON + 1)

    def height(path):
        return quadratic.value(bowl, path) / quadratic.value(bowl, start)

    def path(make: Callable[[Any], optax.GradientTransformation]):
        return jax.vmap(lambda rate: quadratic.trajectory(make(rate), bowl, start, HORIZON))(rates)

    slow, fast = quadratic.best_descent(bowl), quadratic.best_heavy_ball(bowl)
    best = {
        "sgd": quadratic.trajectory(optax.sgd(slow.learning_rate), bowl, start, HORIZON),
        "momentum": quadratic.trajectory(optax.sgd(fast.learning_rate, momentum=fast.momentum), bowl, start, HORIZON),
    }
    best_exact = {
        "sgd": quadratic.descent(bowl, slow.learning_rate, start, t),
        "momentum": quadratic.heavy_ball(bowl, fast.learning_rate, fast.momentum, start, t),
    }
    paths = {name: path(OPTIMISERS[name]) for name in TITLES}
    exact = {
        "sgd": jax.vmap(lambda rate: quadratic.descent(bowl, rate, start, t))(rates),
        "momentum": jax.vmap(lambda rate: quadratic.heavy_ball(bowl, rate, MOMENTUM, start, t))(rates),
    }
    return {
        "paths": paths,
        "heights": jax.tree.map(height, paths),
        "exact": exact,
        "exact_heights": jax.tree.map(height, exact),
        "best": jax.tree.map(height, best),
        "best_exact": jax.tree.map(height, best_exact),
        "best_error": jnp.stack([jnp.abs(best[name] - best_exact[name]).max() for name in best]).max(),
        "matrices": quadratic.gradient(bowl, np.eye(2)),
    }


def steps_down(heights: np.ndarray, *, stay: bool) -> np.ndarray:
    """The first step at which an optimiser is down at `FRACTION`, or from which it stays there; -1 for none.

    ``heights (*b, t)``.
    """
    with jax.enable_x64(True):  # heights overflow in single precision
        return np.asarray(quadratic.steps_to_reach(heights, FRACTION, stay=stay))


def tuned(heights: np.ndarray) -> int:
    """The rate, as its place in `GRID`, with which an optimiser is down at `FRACTION` first and stays there.

    Of those with which it never is higher than at the start; ``heights (rates, t)``.
    """
    stays = steps_down(heights, stay=True)
    good = (stays >= 0) & np.all(heights <= 1 + 1e-12, axis=-1)
    return int(np.argmin(np.where(good, stays, heights.shape[-1])))


def counted(followed: Followed) -> list[dict[str, Any]]:
    """The steps of every optimiser on every bowl: tuned for it, as tuned for the aligned one, and by Polyak."""
    rows = []
    for bowl in BOWLS:
        for name in TITLES:
            heights = followed.heights[bowl][name]
            places = {TUNED: tuned(heights)}
            if bowl != "aligned":
                places[CARRIED_OVER] = tuned(followed.heights["aligned"][name])
            momentum = {"sgd": 0.0, "momentum": MOMENTUM}.get(name)
            rows += [_row(bowl, name, rule, GRID[place], momentum, heights[place]) for rule, place in places.items()]
        rows += [
            _row(bowl, name, POLYAK, best.learning_rate, best.momentum, followed.best[bowl][name])
            for name, best in followed.settings.items()
        ]
    return rows


def _row(bowl: str, optimiser: str, rule: str, rate: Any, momentum: Any, heights: np.ndarray) -> dict[str, Any]:
    reached, stays = (int(steps_down(heights, stay=stay)) for stay in (False, True))
    row = {"bowl": bowl, "optimiser": optimiser, "settings": rule, "learning_rate": float(rate)}
    row["momentum"] = "" if momentum is None else float(momentum)
    return row | {"reached": reached, "stays": stays}


def in_words(steps: int) -> str:
    """A number of steps, of which -1 is that there is none."""
    return f"{steps:,}" if steps >= 0 else "never"


def show(console: Console, out: Path, followed: Followed, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the steps, and leave them and the figures."""
    runfolder.write_csv(out / "quadratic.csv", rows)
    condition = CURVATURES.max() / CURVATURES.min()
    title = (
        f"Steps to {FRACTION:g} of the height at the start, on a bowl of condition number {condition:g} "
        f"(followed for {HORIZON:,})"
    )
    table = Table(title=title, title_justify="left")
    for column in ("bowl", "optimiser", "settings"):
        table.add_column(column)
    for column in ("rate", "mu", "first", "stays"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            BOWL_TITLES[row["bowl"]],
            TITLES[row["optimiser"]],
            row["settings"],
            f"{row['learning_rate']:.3g}",
            "" if row["momentum"] == "" else f"{row['momentum']:.3g}",
            in_words(row["reached"]),
            in_words(row["stays"]),
        )
    console.print(table)
    console.print(f"SGD and momentum differ from their closed forms by {followed.max_error:.1e} at most (float64).")
    _draw(out, followed)


def _draw(out: Path, followed: Followed, steps: int = 40, far: int = 300) -> None:
    polyak = f"momentum, {POLYAK}"
    looks = plots.style.looks([*TITLES.values(), polyak])
    panels: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, Any]] = {}
    rings: dict[str, dict[str, Any]] = {}
    for bowl, title in BOWL_TITLES.items():
        best = {name: tuned(followed.heights[bowl][name]) for name in TITLES}
        exact = {name: paths[best[name]] for name, paths in followed.exact[bowl].items()}
        for pair in PAIRS:
            panels[f"{title}: {' and '.join(TITLES[name] for name in pair)}"] = {
                "matrix": followed.matrices[bowl],
                "paths": {TITLES[name]: followed.paths[bowl][name][best[name]] for name in pair},
                "exact": {
                    TITLES[name]: {t: exact[name][t] for t in range(0, steps + 1, 5)} for name in pair if name in exact
                },
            }
        curves[title] = {TITLES[name]: followed.heights[bowl][name][place] for name, place in best.items()}
        curves[title][polyak] = followed.best[bowl]["momentum"]
        closed = {TITLES[name]: of[best[name]] for name, of in followed.exact_heights[bowl].items()}
        closed[polyak] = followed.best_exact[bowl]["momentum"]
        curves[title] = {name: curve[: far + 1] for name, curve in curves[title].items()}
        rings[title] = {name: {t: curve[t] for t in range(0, far + 1, 30)} for name, curve in closed.items()}
    title = f"The first {steps} steps down a bowl, each with its best learning rate"
    runfolder.save_figure(plots.quadratic.contours(panels, title, steps=steps, looks=looks), out / "contours.png")
    title = "How fast each optimiser comes down, with its best learning rate for each bowl"
    runfolder.save_figure(plots.quadratic.values(curves, title, exact=rings, looks=looks), out / "values.png")
