"""jaxrnn: recurrent networks in JAX and Flax, built around compiled scan loops.

The library in one look: a cell (`jaxrnn.cells`) is one step of a recurrence; `unroll` scans it over time under masks
and resets; layers stack it; a `Classifier` or a `Regressor` puts a head on top; `jaxrnn.train.fit` trains one run or
many as one program.
"""

from jaxrnn.cells import CELLS, Cell, ElmanCell, GRUCell, JordanCell, LSTMCell, TimeGatedLSTMCell
from jaxrnn.interop import from_torch, load_torch, to_torch_state_dict
from jaxrnn.layers import Bidirectional, Recurrent, Stack, stack
from jaxrnn.models import MLP, Classifier, LanguageModel, Regressor, TextClassifier, TextMLP
from jaxrnn.scan import unroll

__all__ = [
    "CELLS", "MLP", "Bidirectional", "Cell", "Classifier", "ElmanCell", "GRUCell", "JordanCell", "LSTMCell",
    "LanguageModel", "Recurrent", "Regressor", "Stack", "TextClassifier", "TextMLP", "TimeGatedLSTMCell", "from_torch",
    "load_torch", "stack", "to_torch_state_dict", "unroll",
]  # fmt: skip
