"""PyTorch, trained and written with as its tutorials have it: what ours is measured against. Not a command itself.

Its many networks train as they are fastest on the same cores: a single-threaded process for each core and in it the
networks in turn. Its threads gain nothing on networks this small, and ``torch.func.vmap``, which would train networks
side by side, has no batching rule for ``nn.RNN`` and ``nn.LSTM``. Its fused and ``foreach`` optimisers, and inputs with
time first, made no difference.
"""

import itertools
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import memory
from experiments.peers import Batches, Network, Trainer, Weights
from jaxrnn.data.tokens import PADDING
from jaxrnn.errors import UserError
from jaxrnn.typing import Int, Shaped

TORCH: dict[str, tuple[str, dict[str, str]]] = {
    "elman": ("RNN", {"nonlinearity": "tanh"}),
    "elman_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
"""PyTorch's module, and its options, for those of our cells that it has."""


def device() -> str:
    """Where PyTorch computes: where we do, as far as it can."""
    import torch

    # JAX is asked last: to be asked, it starts
    return "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"


def spare_threads() -> None:
    """Compute in one thread from now on: for sizes that gain nothing by several, which wait long for a busy core."""
    import torch

    torch.set_num_threads(1)


def module(network: Network, weights: Weights) -> Any:
    """PyTorch's layers and linear head, ``["rnn"]`` and ``["head"]``, with ``["embedding"]`` where ids are read."""
    import torch
    from torch import nn

    kind, options = TORCH[network.cell]
    rnn = getattr(nn, kind)(network.features, network.hidden, network.layers, batch_first=True, **options)
    made = nn.ModuleDict({"rnn": rnn, "head": nn.Linear(network.hidden, network.outputs)})
    named = {"head.weight": weights.kernel.T, "head.bias": weights.bias}
    for number, layer in enumerate(weights.layers):
        named |= {f"rnn.weight_ih_l{number}": layer.w_x.T, f"rnn.weight_hh_l{number}": layer.w_h.T}
        named |= {f"rnn.bias_ih_l{number}": layer.b_x, f"rnn.bias_hh_l{number}": layer.b_h}
    if weights.embedding is not None:
        made["embedding"] = nn.Embedding(*weights.embedding.shape)
        named["embedding.weight"] = weights.embedding
    made.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in named.items()})
    return made


def trainer(
    network: Network, begin: Sequence[Weights], batches: Batches, *, packed: bool = False
) -> AbstractContextManager[Trainer]:
    """An eager loop over tensors, for one network after the other; ids padded in front, or ``packed`` without that.

    The loss is the mean of the networks' last ones.
    """
    import torch
    from torch import nn

    place = device()
    kinds = {"adam": torch.optim.Adam, "adamw_torch": torch.optim.AdamW, "rmsprop_torch": torch.optim.RMSprop}
    told = [_tensors(network, x, y, place, packed) for x, y in batches]

    def started(weights: Weights) -> tuple[Any, Any, Any]:
        made = module(network, weights).to(place)
        return made, kinds[network.optimiser](made.parameters(), lr=network.learning_rate), itertools.cycle(told)

    def train_one(made: Any, optimiser: Any, turns: Any, steps: int) -> Any:
        loss = torch.tensor(torch.nan)
        for inputs, y in itertools.islice(turns, steps):
            optimiser.zero_grad()
            loss = _loss(network, _outputs(network, made, *inputs), y)
            loss.backward()
            if np.isfinite(network.clip_norm):
                nn.utils.clip_grad_norm_(made.parameters(), network.clip_norm)
            optimiser.step()
        if place == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    runs = [started(weights) for weights in begin]
    return nullcontext(lambda steps: sum(train_one(*run, steps) for run in runs) / len(runs))


def _tensors(network: Network, x: np.ndarray, y: np.ndarray, place: str, packed: bool) -> tuple[Any, Any]:
    """A batch as it is given to `_outputs` and `_loss`."""
    import torch

    labels = torch.from_numpy(y if network.loss == "squares" else y.astype(np.int64)).to(place)
    labels = labels.float() if network.loss == "yes" else labels
    rows, lengths = behind(x) if packed else (x, None)
    inputs = torch.from_numpy(rows if network.vocabulary is None else rows.astype(np.int64)).to(place)
    # what packs reads lengths on the host
    return (inputs, None if lengths is None else torch.from_numpy(lengths)), labels


def _outputs(network: Network, made: Any, x: Any, lengths: Any) -> Any:
    """What the head says: at every step, or at the last one."""
    from torch.nn.utils.rnn import pack_padded_sequence

    xs = x if network.vocabulary is None else made["embedding"](x)
    if lengths is not None:
        _, h_n = made["rnn"](pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False))
        return made["head"](h_n[-1])
    ys, _ = made["rnn"](xs)
    return made["head"](ys if network.every_step else ys[:, -1])


def _loss(network: Network, outputs: Any, y: Any) -> Any:
    from torch.nn import functional

    if network.loss == "squares":
        return functional.mse_loss(outputs, y)
    if network.loss == "yes":
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], y)
    return functional.cross_entropy(outputs.flatten(0, -2), y.flatten())


def behind(x: Shaped[np.ndarray, "b t"]) -> tuple[Shaped[np.ndarray, "b t"], Int[np.ndarray, "b"]]:
    """Rows that are padded in front with their padding behind, and how many words each has."""
    real = x != PADDING
    lengths = real.sum(1)
    rows = np.full_like(x, PADDING)
    rows[np.arange(x.shape[1]) < lengths[:, None]] = x[real]
    return rows, lengths


def writer(network: Network, weights: Weights, texts: int, temperature: float) -> Callable[[int], np.ndarray]:
    """Characters drawn one by one, the state carried on: ids ``(texts, steps)``, a call going on where one ended."""
    import torch

    place = device()
    made = module(network, weights).to(place)
    one_hot = torch.eye(network.features, device=place)
    last, state = torch.zeros(texts, 1, dtype=torch.long, device=place), None

    @torch.inference_mode()
    def write(steps: int) -> np.ndarray:
        nonlocal last, state
        ids = []
        for _ in range(steps):
            ys, state = made["rnn"](one_hot[last], state)
            probabilities = torch.softmax(made["head"](ys[:, -1]) / temperature, -1)
            last = torch.multinomial(probabilities, 1)
            ids.append(last)
        return torch.cat(ids, 1).cpu().numpy()

    return write


# Many networks, shared out to processes.


class Lot(NamedTuple):
    """The networks of one process, in words and arrays: they are sent there."""

    network: Network
    begin: Sequence[Weights]
    batches: Batches


def lots(network: Network, begin: Sequence[Weights], batches: Batches, processes: int) -> list[Lot]:
    """The networks as processes share them, none without one."""
    return [Lot(network, begin[first::processes], batches) for first in range(min(processes, len(begin)))]


@contextmanager
def side_by_side(
    network: Network, begin: Sequence[Weights], batches: Batches, *, processes: int
) -> Iterator["Workers"]:
    """Many networks, in so many processes that are ended in the end, come what may."""
    with ExitStack() as stack:
        shared = lots(network, begin, batches, processes)
        yield Workers([len(lot.begin) for lot in shared], [_started(lot, stack) for lot in shared])


class Workers:
    """A process for each lot, together as one trainer that waits for the slowest.

    Raises:
        UserError: one of them ended by itself.
    """

    def __init__(self, sizes: Sequence[int], pipes: Sequence[Connection]):
        self._sizes, self._pipes = sizes, pipes
        self._asked(0)  # until all are ready

    def __call__(self, steps: int, /) -> float:
        return float(np.average(self._asked(steps), weights=self._sizes))

    def peak(self) -> float:
        """By how many MiB the processes' memory rose at most since they had imported PyTorch, all together."""
        return sum(self._asked(None))

    def _asked(self, what: int | None) -> list[float]:
        """What all processes say, which they find out at the same time."""
        try:
            for pipe in self._pipes:
                pipe.send(what)
            return [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError) as error:
            raise UserError(
                "a PyTorch process ended by itself: it says why above; or leave the sweeps' rows out"
            ) from error


def _started(lot: Lot, stack: ExitStack) -> Connection:
    """The way to a new process that trains the lot and ends with the stack."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, lot), daemon=True)
    process.start()
    stack.callback(_end, process, pipe)
    theirs.close()  # so that its end is seen here
    return pipe


def _end(process: SpawnProcess, pipe: Connection) -> None:
    process.terminate()
    process.join()
    process.close()
    pipe.close()


def _work(pipe: Connection, lot: Lot) -> None:
    """The life of a worker: so many steps of each network whenever it is asked for them, or what memory they took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal, and ours ends this one
    spare_threads()
    before = memory.peak()
    with suppress(EOFError, OSError), trainer(*lot) as train:  # who asks is no more
        while True:
            steps = pipe.recv()
            pipe.send(memory.peak() - before if steps is None else train(steps))
