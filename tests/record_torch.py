"""PyTorch's side of test_interop.py and test_optimisers.py: what goes in, what comes out, computed or read back.

    python -m tests.record_torch

computes it with the PyTorch at hand and writes ``tests/recorded/``, from where the same tests read it where there is no
PyTorch. Nothing here touches JAX; the one place where both meet is the plain arithmetic of `functional` and `misfit`,
which either's arrays go through.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "recorded"

Arrays = dict[str, np.ndarray]


# --- Recurrent modules


@dataclass(frozen=True)
class Case:
    """A recurrent module of PyTorch's and the sequences it is given."""

    mode: str
    layers: int = 1
    directions: int = 1
    d: int = 3
    h: int = 4
    time: int = 6
    rows: int = 4
    bias: bool = True
    batch_first: bool = True
    ragged: bool = True
    """Rows of several lengths, in no order, packed; otherwise all are full and the module reads the plain array."""

    def __str__(self) -> str:
        sizes = "" if self.d == 3 else f"-{self.d}to{self.h}"
        odd = [name for name in ("bias", "batch_first", "ragged") if not getattr(self, name)]
        return f"{self.mode}-{self.layers}x{self.directions}{sizes}" + "".join(f"-no_{name}" for name in odd)

    @property
    def lengths(self) -> np.ndarray:
        """From 1 to the full length, and not sorted: ``[6, 1, 2, 4]``."""
        ragged = np.roll(1 + np.arange(self.rows) * (self.time - 1) // (self.rows - 1), 1)
        return ragged if self.ragged else np.full(self.rows, self.time)

    def module(self, dtype: str = "float32") -> Any:
        """The module of this shape, with PyTorch's own initialisation."""
        import torch

        kind, _, nonlinearity = self.mode.partition("_")
        options = {"nonlinearity": nonlinearity.lower()} if nonlinearity else {}
        return getattr(torch.nn, kind)(
            self.d,
            self.h,
            num_layers=self.layers,
            bidirectional=self.directions == 2,
            bias=self.bias,
            batch_first=self.batch_first,
            dtype=getattr(torch, dtype),
            **options,
        )


MODES = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
RECORDED = [Case(mode, layers, directions) for mode in MODES for layers in (1, 3) for directions in (1, 2)]
LIVE = [
    *(Case(mode, directions=2, bias=False, batch_first=False) for mode in MODES),
    *(Case(mode, d=28, h=150, time=28, rows=8) for mode in MODES),
    *(Case(mode, d=28, h=150, time=28, rows=8, batch_first=False, ragged=False) for mode in ("GRU", "LSTM")),
]


def drawn(case: Case, seed: int) -> Arrays:
    """All that a case is given, every number of it random: parameters, inputs, initial state, `functional`'s weights.

    The numbers are those of float32, also for float64: one record of them serves both.
    """
    rng = np.random.default_rng(seed)
    state_shape = (case.layers * case.directions, case.rows, case.h)
    states = ("h", "c") if case.mode == "LSTM" else ("h",)
    shapes = {name: tuple(value.shape) for name, value in case.module().state_dict().items()}
    given = {name: case.h**-0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    given["xs"] = rng.standard_normal((case.rows, case.time, case.d))  # also in the padding, where none may read it
    given["functional.ys"] = rng.standard_normal((case.rows, case.time, case.directions * case.h))
    for state in states:
        given[f"{state}_0"] = rng.standard_normal(state_shape)
        given[f"functional.{state}_n"] = rng.standard_normal(state_shape)
    return {name: value.astype("float32") for name, value in given.items()}


def state_dict(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters among what a case is given."""
    return {name: value for name, value in given.items() if name.startswith(("weight_", "bias_"))}


def functional(results: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The number whose gradients are compared: linear and quadratic in all outputs and final states, weights random."""
    return sum((given[f"functional.{name}"] * (value + value * value)).sum() for name, value in results.items())


def results(case: Case, given: Arrays, dtype: str) -> Arrays:
    """What PyTorch makes of it: outputs, final states and, as ``gradient.*``, the gradients of `functional`."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    torch.set_num_threads(1)  # more would wait for one another, and for JAX's, longer than they work
    tensors = {name: torch.tensor(value, dtype=getattr(torch, dtype)) for name, value in given.items()}
    module = case.module(dtype)
    module.load_state_dict(state_dict(tensors))
    leaves = {name: tensors[name].requires_grad_() for name in ("xs", "h_0", "c_0") if name in tensors}
    start = (leaves["h_0"], leaves["c_0"]) if "c_0" in leaves else leaves["h_0"]

    xs = leaves["xs"] if case.batch_first else leaves["xs"].transpose(0, 1)
    if case.ragged:
        lengths = torch.tensor(case.lengths)
        packed = pack_padded_sequence(xs, lengths, batch_first=case.batch_first, enforce_sorted=False)
        ys, end = module(packed, start)
        ys, _ = pad_packed_sequence(ys, batch_first=case.batch_first, total_length=case.time)
    else:
        ys, end = module(xs, start)
    values = {"ys": ys if case.batch_first else ys.transpose(0, 1)}
    values |= dict(zip(("h_n", "c_n"), end, strict=True)) if "c_0" in leaves else {"h_n": end}

    functional(values, tensors).backward()
    leaves |= dict(module.named_parameters())
    outputs = {name: value.detach().numpy() for name, value in values.items()}
    return outputs | {f"gradient.{name}": leaf.grad.numpy() for name, leaf in leaves.items()}


def theirs(case: Case, dtype: str, source: str) -> tuple[Arrays, Arrays]:
    """What a case is given and PyTorch's `results`: from the record, or (``source="live"``) of fresh numbers."""
    if source == "recorded":
        return _read("interop", f"{case}.given"), _read("interop", f"{case}.{dtype}")
    given = drawn(case, seed=1)
    return given, results(case, given, dtype)


# --- Optimisers

STEPS = 20

DESCENTS: dict[str, tuple[str, dict[str, float]]] = {
    "adam": ("Adam", {"lr": 0.05}),
    "adamw_torch": ("AdamW", {"lr": 0.05}),
    "adamw_torch, no arguments": ("AdamW", {}),
    "adamw_torch, weight_decay=0.3": ("AdamW", {"weight_decay": 0.3}),
    "rmsprop_torch": ("RMSprop", {"lr": 0.05}),
    "rmsprop_torch, no arguments": ("RMSprop", {}),
    "rmsprop_torch, momentum=0.9": ("RMSprop", {"momentum": 0.9}),
    "sgd": ("SGD", {"lr": 0.05}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
}
"""The class in `torch.optim` and its options, by the name of ours and its settings (else a learning rate of 0.05)."""

CLIPS = [(norm, limit) for norm in (1e-3, 0.5, 20.0) for limit in (1e-4, 0.5, 1.0)]
"""Global norms of a gradient, and what they are clipped to: larger, smaller and equal."""

_POINTS = np.sin(np.arange(1.0, 16)).reshape(5, 3)
_TARGETS = np.cos(np.arange(1.0, 11)).reshape(5, 2)


def problem() -> Arrays:
    """Where every descent starts, and what the misfit is of: a small linear regression in float64."""
    start = {"w": np.cos(np.arange(6.0)).reshape(3, 2), "b": np.array([0.5, -2.0])}
    return start | {"points": _POINTS, "targets": _TARGETS}


def misfit(parameters: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    return ((given["points"] @ parameters["w"] + parameters["b"] - given["targets"]) ** 2).mean()


def gradients(norm: float) -> Arrays:
    """A gradient of two arrays with this global norm."""
    scale = norm / np.hypot(np.linalg.norm(_POINTS), np.linalg.norm(_TARGETS))
    return {"w": scale * _POINTS, "b": scale * _TARGETS}


def trajectory(name: str) -> Arrays:
    """The parameters after each of the steps of PyTorch's optimiser: ``w (steps, 3, 2)``, ``b (steps, 2)``."""
    import torch

    given = {key: torch.tensor(value) for key, value in problem().items()}
    parameters = {key: given[key].requires_grad_() for key in ("w", "b")}
    kind, options = DESCENTS[name]
    optimiser = getattr(torch.optim, kind)(parameters.values(), **options)
    path = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        misfit(parameters, given).backward()
        optimiser.step()
        path.append({key: value.detach().numpy().copy() for key, value in parameters.items()})
    return {key: np.stack([point[key] for point in path]) for key in parameters}


def clipped(norm: float, limit: float) -> Arrays:
    """What `clip_grad_norm_` leaves of `gradients`."""
    import torch

    parameters = {}
    for name, value in gradients(norm).items():
        parameters[name] = torch.zeros(value.shape, dtype=torch.float64)
        parameters[name].grad = torch.tensor(value)
    torch.nn.utils.clip_grad_norm_(parameters.values(), limit)
    return {name: parameter.grad.numpy() for name, parameter in parameters.items()}


def their_trajectory(name: str, source: str) -> Arrays:
    return _read("optimisers", name) if source == "recorded" else trajectory(name)


def their_clipped(norm: float, limit: float, source: str) -> Arrays:
    return _read("optimisers", f"clip {norm} to {limit}") if source == "recorded" else clipped(norm, limit)


# --- The record

# One compressed file for each subject, without pickle. An entry is a dict of arrays, kept as one flat array and a line
# that says how to part it: with a member for each array the file would be mostly headers.


def recording() -> Iterator[tuple[str, dict[str, Arrays]]]:
    """Everything there is to record, computed: a file's stem and its entries."""
    modules = {}
    for seed, case in enumerate(RECORDED, start=100):
        modules[f"{case}.given"] = given = drawn(case, seed)
        for dtype in ("float32", "float64"):
            modules[f"{case}.{dtype}"] = results(case, given, dtype)
    yield "interop", modules
    descents = {name: trajectory(name) for name in DESCENTS}
    yield "optimisers", descents | {f"clip {norm} to {limit}": clipped(norm, limit) for norm, limit in CLIPS}


def _write(stem: str, entries: dict[str, Arrays]) -> Path:
    members = {}
    for name, arrays in entries.items():
        members[f"{name}.layout"] = np.array(json.dumps({key: value.shape for key, value in arrays.items()}))
        members[f"{name}.numbers"] = np.concatenate([value.ravel() for value in arrays.values()])
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(FOLDER / f"{stem}.npz", **members)
    return FOLDER / f"{stem}.npz"


@cache
def _members(stem: str) -> Arrays:
    with np.load(FOLDER / f"{stem}.npz", allow_pickle=False) as file:
        return dict(file)


def _read(stem: str, name: str) -> Arrays:
    shapes = json.loads(str(_members(stem)[f"{name}.layout"]))
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(_members(stem)[f"{name}.numbers"], ends[:-1])
    return {key: part.reshape(shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}


if __name__ == "__main__":
    for stem, entries in recording():
        path = _write(stem, entries)
        print(f"{path.name}: {len(entries)} entries, {path.stat().st_size:,} bytes")
