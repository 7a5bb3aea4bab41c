"""Weights from and to PyTorch: `nn.RNN`, `nn.GRU` and `nn.LSTM`, any number of layers, one direction or two.

Both use the same equations and gate order; only the layout differs: PyTorch keeps ``weight_ih_l0 (gates*h, d)``, we
keep ``w_x (d, gates*h)``. PyTorch is needed only to read a module and to give tensors back.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from jaxrnn.layers import Bidirectional, Stack, stack
from jaxrnn.typing import Bias

_CELLS: dict[str, Callable[..., Cell]] = {
    "RNN_TANH": partial(ElmanCell, activation="tanh"),
    "RNN_RELU": partial(ElmanCell, activation="relu"),
    "GRU": GRUCell,
    "LSTM": LSTMCell,
}
_NAMES = {"w_x": "weight_ih", "w_h": "weight_hh", "b_x": "bias_ih", "b_h": "bias_hh"}


def from_torch(module: Any) -> Stack:
    """Our layer with the weights of a `torch.nn.RNN`, `GRU` or `LSTM`.

    The layer is called as ``layer(xs, lengths=...) -> (carry, ys)``, always batch first, whatever the module's
    ``batch_first``. A module's ``dropout`` is not taken along: here the rate is an argument of each call.

    Raises:
        ValueError: another kind of module, or an LSTM with projections (``proj_size``).
    """
    mode = getattr(module, "mode", None)
    if mode not in _CELLS:
        raise ValueError(f"expected a torch.nn.RNN, GRU or LSTM, not {type(module).__name__}")
    state = {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
    return from_torch_state_dict(state, mode)


def from_torch_state_dict(state: Mapping[str, Any], mode: str) -> Stack:
    """Our layer from a module's state dict, as arrays: ``weight_ih_l0 (gates*h, d)``, ``bias_hh_l0_reverse`` and so on.

    ``mode`` is the module's: ``RNN_TANH``, ``RNN_RELU``, ``GRU`` or ``LSTM``.

    Raises:
        ValueError: an unknown mode, missing or surplus entries, shapes that do not fit, or projections.
    """
    if mode not in _CELLS:
        raise ValueError(f"mode must be one of {', '.join(_CELLS)}, not {mode!r}")
    if any("weight_hr" in name for name in state):
        raise ValueError("an LSTM with projections (proj_size > 0) has no counterpart here")
    if "weight_ih_l0" not in state or "weight_hh_l0" not in state:
        raise ValueError(f"no weight_ih_l0 and weight_hh_l0 in a state dict with {', '.join(state) or 'nothing'}")
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in state)
    bidirectional = "weight_ih_l0_reverse" in state
    bias: Bias = "torch" if "bias_ih_l0" in state else "none"
    d, h = (np.shape(state[name])[-1] for name in ("weight_ih_l0", "weight_hh_l0"))

    # drawn only to be replaced, so by what is drawn fastest: orthogonal blocks of a wide layer take seconds
    options: dict[str, Any] = {"bias": bias, "init": "pytorch", "rngs": nnx.Rngs(0)}
    layer = stack(_CELLS[mode], d, [h] * layers, bidirectional=bidirectional, **options)
    places = dict(_places(layer))
    if set(places) != set(state):
        odd = ", ".join(sorted(set(places) ^ set(state)))
        raise ValueError(f"not the state dict of {layers} layers of {mode}: {odd} missing or too many")
    for name, (cell, attribute) in places.items():
        # a copy, for JAX may read the memory only when the module has gone on training
        value, place = np.asarray(state[name]).copy(), getattr(cell, attribute)
        if value.shape != place.shape[::-1]:
            raise ValueError(f"{name} must have shape {place.shape[::-1]}, not {value.shape}")
        setattr(cell, attribute, nnx.Param(jnp.asarray(value.T)))
    return layer


def to_torch_state_dict(layer: Stack) -> dict[str, Any]:
    """A layer's weights as PyTorch's tensors and names: ``module.load_state_dict(to_torch_state_dict(layer))``.

    For a layer with ``bias="single"`` the second bias is zeros: PyTorch has two or none.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: what PyTorch's modules cannot hold: another cell, a learned initial carry, layers of unlike widths
            or kinds, or directions merged otherwise than by ``concat``.
    """
    import torch

    places = list(_places(layer))
    cells = [cell for _, cell in _parts(layer)]
    if len({cell.features for cell in cells}) > 1:
        raise ValueError("PyTorch's layers all have the same width, but these have not")
    kinds = {(type(cell), cell.activation, cell.b_x is None) for cell in cells}
    if len(kinds) > 1 or len(set(map(type, layer.layers))) > 1:
        raise ValueError("PyTorch's layers all have the same cell, bias and directions, but these have not")
    state = {}
    for name, (cell, attribute) in places:
        param = getattr(cell, attribute)
        value = np.zeros(cell.b_x.shape, cell.b_x.dtype) if param is None else np.asarray(param[...])
        state[name] = torch.from_numpy(value.T.copy())
    return state


def _parts(layer: Stack) -> Iterator[tuple[str, Any]]:
    """PyTorch's suffix and the cell of each layer and direction."""
    for number, part in enumerate(layer.layers):
        if isinstance(part, Bidirectional):
            if part.merge != "concat":
                raise ValueError(f"PyTorch joins directions by 'concat' only, not by {part.merge!r}")
            yield f"_l{number}", part.forward
            yield f"_l{number}_reverse", part.backward
        else:
            yield f"_l{number}", part.cell


def _places(layer: Stack) -> Iterator[tuple[str, tuple[Any, str]]]:
    """PyTorch's name of each weight, and where ours is: a cell and its attribute."""
    for suffix, cell in _parts(layer):
        if type(cell) not in (ElmanCell, GRUCell, LSTMCell):  # a subclass may step differently
            raise ValueError(f"PyTorch has no {type(cell).__name__}")
        if cell.h_0 is not None:
            raise ValueError("PyTorch's modules have no learned initial carry; give it to each call instead")
        for attribute, name in _NAMES.items():
            if attribute in ("w_x", "w_h") or cell.b_x is not None:
                yield name + suffix, (cell, attribute)
