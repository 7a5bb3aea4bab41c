"""Weights from and to PyTorch: `nn.RNN`, `nn.GRU` and `nn.LSTM`, any number of layers, one direction or two.

Both use the same equations and gate order; only the layout differs: PyTorch keeps ``weight_ih_l0 (gates*h, d)``, we
keep ``w_x (d, gates*h)``. PyTorch is needed only to read a module or its file, and to give tensors back.
"""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from jaxrnn.errors import DataError
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
    return from_torch_state_dict({name: _array(tensor) for name, tensor in module.state_dict().items()}, mode)


def load_torch(path: str | os.PathLike[str], mode: str) -> Stack:
    """Our layer with the weights in a file, as ``torch.save(module.state_dict(), path)`` leaves it (since PyTorch 1.6).

    ``mode`` is the module's: ``RNN_TANH``, ``RNN_RELU``, ``GRU`` or ``LSTM``. Nothing that the file asks for is
    executed: it is read with ``weights_only``, on the CPU.

    Raises:
        ImportError: PyTorch is not installed.
        DataError: no such file, or one that cannot be read, is broken, or holds anything else than the floating point
            tensors of a state dict of this mode.
        ValueError: an unknown mode.
    """
    import torch

    path = Path(path)
    _check_mode(mode)
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as parts:
            plain = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())
            file.seek(0)
            # PyTorch packs nothing: what is packed may come to any size; what begins otherwise it takes for older files
            if not plain or file.read(4) != b"PK\x03\x04":
                raise DataError(f"{path}: is no archive as torch.save writes it; save module.state_dict() again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch finds odd is either read all the same or refused here
            state = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the name") from error
    except MemoryError:
        raise
    except Exception as error:  # whatever broken content makes the two of them run into
        raise DataError(f"{path}: is broken, or holds more than tensors; save module.state_dict()") from error
    if not isinstance(state, Mapping):
        raise DataError(f"{path}: holds no state dict; save module.state_dict()")
    for name, value in state.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
            raise DataError(f"{path}: {name!r} is no tensor of numbers; save module.state_dict()")
        # a view may repeat the little that there is any number of times
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise DataError(f"{path}: {name!r} is larger than what is stored of it; save module.state_dict()")
    try:
        return from_torch_state_dict({name: _array(tensor) for name, tensor in state.items()}, mode)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}; save module.state_dict() of such a module") from error


def _array(tensor: Any) -> np.ndarray:
    """The numbers of a tensor."""
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype is torch.bfloat16:  # numpy has no such type of its own
        return tensor.view(torch.int16).numpy().view(jnp.bfloat16)
    return tensor.numpy()


def _check_mode(mode: str) -> None:
    if mode not in _CELLS:
        raise ValueError(f"mode must be one of {', '.join(_CELLS)}, not {mode!r}")


def from_torch_state_dict(state: Mapping[str, Any], mode: str) -> Stack:
    """Our layer from a module's state dict, as arrays: ``weight_ih_l0 (gates*h, d)``, ``bias_hh_l0_reverse`` and so on.

    ``mode`` is the module's: ``RNN_TANH``, ``RNN_RELU``, ``GRU`` or ``LSTM``.

    Raises:
        ValueError: an unknown mode, missing or surplus entries, shapes that do not fit, what is no floating point
            number, or projections.
    """
    _check_mode(mode)
    if odd := [name for name in state if not isinstance(name, str)]:
        raise ValueError(f"a state dict has names, not {', '.join(map(repr, odd))}")
    if any("weight_hr" in name for name in state):
        raise ValueError("an LSTM with projections (proj_size > 0) has no counterpart here")
    if "weight_ih_l0" not in state or "weight_hh_l0" not in state:
        raise ValueError(f"no weight_ih_l0 and weight_hh_l0 in a state dict with {', '.join(state) or 'nothing'}")
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in state)
    bidirectional = "weight_ih_l0_reverse" in state
    bias: Bias = "torch" if "bias_ih_l0" in state else "none"
    (d,), (h,) = (np.shape(state[name])[-1:] or (0,) for name in ("weight_ih_l0", "weight_hh_l0"))
    if 0 in (d, h):
        raise ValueError("weight_ih_l0 and weight_hh_l0 must have inputs and units")

    kinds = [name for own, name in _NAMES.items() if own in ("w_x", "w_h") or bias == "torch"]
    ends = [f"_l{number}{suffix}" for number in range(layers) for suffix in ("", "_reverse")[: 1 + bidirectional]]
    if odd := sorted({kind + end for kind in kinds for end in ends} ^ set(state)):
        raise ValueError(f"not the state dict of {layers} layers of {mode}: {', '.join(odd)} missing or too many")

    # only its shapes, for all its numbers come from there
    def empty() -> Stack:
        cell = partial(_CELLS[mode], bias=bias, init="pytorch")
        return stack(cell, d, [h] * layers, bidirectional=bidirectional, rngs=nnx.Rngs(0))

    layer = jax.eval_shape(empty)
    for name, (cell, attribute) in _places(layer):
        value, place = np.asarray(state[name]), getattr(cell, attribute)
        if value.shape != place.shape[::-1]:
            raise ValueError(f"{name} must have shape {place.shape[::-1]}, not {value.shape}")
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(f"{name} must have floating point numbers, not {value.dtype}")
        # a copy, for JAX may read the memory only when the module has gone on training
        setattr(cell, attribute, nnx.Param(jnp.asarray(value.T.copy())))
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
