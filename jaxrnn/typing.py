"""Axis letters and array aliases used in every signature.

Letters in a shape string: ``*b`` any number of batch dimensions (also none), ``t`` time steps, ``d`` input features,
``h`` hidden units (a cell's output features), ``k`` classes, ``n`` examples, ``r`` runs.
"""

from typing import Any, Literal

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, Key, Shaped

Carry = Any
"""What a cell hands from one step to the next: a pytree whose every leaf leads with the batch dimensions."""

Bias = Literal["torch", "single", "none"]
"""Bias convention: PyTorch's two vectors (``b_x`` and ``b_h``), one (``b_x``), or none."""

Init = Literal["default", "pytorch"]
"""Initialisation: orthogonal recurrent and Glorot input blocks per gate, or PyTorch's uniform one."""

__all__ = ["Array", "ArrayLike", "Bias", "Bool", "Carry", "Float", "Init", "Int", "Key", "Shaped"]
