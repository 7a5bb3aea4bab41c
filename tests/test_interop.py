"""Our layers against PyTorch's modules: the same values and gradients, and weights that move both ways unchanged.

The parity tests run on numbers recorded from PyTorch 2.13 (`tests/record_torch.py`) and, where PyTorch is installed, on
fresh ones. ``pytest tests/test_interop.py -k parity -s`` prints the worst difference of each case.
"""

import json
import os
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import record_torch
from jaxrnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from jaxrnn.errors import DataError
from jaxrnn.interop import from_torch, from_torch_state_dict, load_torch, to_torch_state_dict
from jaxrnn.layers import Bidirectional, Recurrent, Stack, stack
from record_torch import LIVE, MODES, RECORDED, Case

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
"""The largest difference allowed, relative to the largest magnitude in its array."""

NAMES = {"RNN_TANH": "elman", "RNN_RELU": "elman_relu", "GRU": "gru", "LSTM": "lstm"}

LARGEST = [case for case in RECORDED if (case.layers, case.directions) == (3, 2)]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="moves weights from or to PyTorch itself")


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    """Each precision in turn, 64-bit numbers allowed for the second."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def difference(ours, theirs):
    """The largest difference, relative to the largest magnitude of theirs; a mere array of zeros is an error."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return np.abs(np.float64(ours) - np.float64(theirs)).max() / np.abs(np.float64(theirs)).max()


def by_torch_names(layer):
    """The weights of a layer in PyTorch's layout, written out apart from what `jaxrnn.interop` knows of it."""
    weights = {}
    for number, part in enumerate(layer.layers):
        cells = {"": part.cell} if isinstance(part, Recurrent) else {"": part.forward, "_reverse": part.backward}
        for suffix, cell in cells.items():
            weights[f"weight_ih_l{number}{suffix}"] = cell.w_x[...].T
            weights[f"weight_hh_l{number}{suffix}"] = cell.w_h[...].T
            if cell.b_x is not None:
                weights[f"bias_ih_l{number}{suffix}"] = cell.b_x[...]
                weights[f"bias_hh_l{number}{suffix}"] = cell.b_h[...]
    return weights


@jax.jit
def our_results(layer, given, lengths):
    """Ours of `record_torch.results`, by the same names: outputs, final states and gradients."""

    def loss(layer, leaves):
        # PyTorch's (layers * directions, rows, h) holds in this order what our carry nests by layer and direction
        states = [leaves[name] for name in ("h_0", "c_0") if name in leaves]
        in_order = [state[row] for row in range(len(states[0])) for state in states]
        start = jax.tree.unflatten(jax.tree.structure(layer.initial_carry(lengths.shape)), in_order)
        carry, ys = layer(leaves["xs"], carry=start, lengths=lengths)
        ends = jax.tree.leaves(carry)
        values = {"ys": ys, "h_n": jnp.stack(ends[:: len(states)])}
        values |= {"c_n": jnp.stack(ends[1::2])} if len(states) == 2 else {}
        return record_torch.functional(values, given), values

    leaves = {name: given[name] for name in ("xs", "h_0", "c_0") if name in given}
    (gradient, by_leaf), values = jax.grad(loss, argnums=(0, 1), has_aux=True)(layer, leaves)
    by_leaf |= by_torch_names(gradient)
    return values | {f"gradient.{name}": value for name, value in by_leaf.items()}


# --- Parity


@pytest.mark.parametrize(
    ("case", "source"),
    [(case, "recorded") for case in RECORDED]
    + [pytest.param(case, "live", marks=pytest.mark.slow) for case in RECORDED]
    + [(case, "live") for case in LIVE],
    ids=str,
)
def test_parity_in_values_and_gradients(case, source, dtype):
    if source == "live":
        pytest.importorskip("torch", reason="compares with PyTorch itself; the recorded numbers need none")
    given, theirs = record_torch.theirs(case, dtype, source)
    given = {name: value.astype(dtype) for name, value in given.items()}
    layer = from_torch_state_dict(record_torch.state_dict(given), case.mode)

    ours = our_results(layer, given, case.lengths)
    assert ours.keys() == theirs.keys()
    differences = {name: difference(ours[name], theirs[name]) for name in theirs}
    of_gradients = max(value for name, value in differences.items() if name.startswith("gradient."))
    of_values = max(value for name, value in differences.items() if not name.startswith("gradient."))
    print(f"\n{case!s:40} {dtype} {source:8}  values {of_values:.1e}  gradients {of_gradients:.1e}  ", end="")
    assert max(differences.values()) < TOLERANCE[dtype], differences


@pytest.mark.parametrize("case", RECORDED, ids=str)
def test_the_record_is_random_throughout_and_ragged(case):
    given, _ = record_torch.theirs(case, "float32", "recorded")
    weights = record_torch.state_dict(given)
    assert len(weights) == 4 * case.layers * case.directions
    assert all(np.unique(value).size == value.size and np.all(value != 0) for value in given.values())
    assert {1, case.time} < set(case.lengths.tolist()) and list(case.lengths) != sorted(case.lengths)[::-1]


def test_the_record_is_what_pytorch_computes(torch):
    for case in RECORDED:
        for dtype, tolerance in TOLERANCE.items():
            given, recorded = record_torch.theirs(case, dtype, "recorded")
            fresh = record_torch.results(case, given, dtype)
            assert fresh.keys() == recorded.keys()
            assert max(difference(recorded[name], fresh[name]) for name in fresh) < tolerance / 10


# --- From PyTorch


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_from_torch_reads_batch_first_whatever_the_module_reads(torch, mode, batch_first):
    module = Case(mode, layers=2, directions=2, batch_first=batch_first).module()
    xs = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")
    with torch.no_grad():
        ys, end = module(torch.from_numpy(xs if batch_first else xs.swapaxes(0, 1).copy()))
    carry, ours = from_torch(module)(xs)
    assert difference(ours, ys.numpy() if batch_first else ys.numpy().swapaxes(0, 1)) < 1e-5
    ends = [end] if isinstance(end, torch.Tensor) else end
    assert difference(np.stack(jax.tree.leaves(carry)[:: len(ends)]), ends[0].numpy()) < 1e-5


@pytest.mark.parametrize("case", LARGEST, ids=str)
def test_a_recorded_state_dict_is_read_bit_for_bit(case, dtype):
    given, _ = record_torch.theirs(case, dtype, "recorded")
    state = {name: value.astype(dtype) / 3 for name, value in record_torch.state_dict(given).items()}
    ours = by_torch_names(from_torch_state_dict(state, case.mode))
    assert ours.keys() == state.keys()
    for name, value in ours.items():
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, state[name])


def test_float64_becomes_float32_where_jax_has_no_float64(torch):
    module = Case("GRU").module("float64")
    assert {leaf.dtype for leaf in jax.tree.leaves(from_torch(module))} == {jnp.dtype("float32")}
    with jax.enable_x64(True):
        assert {leaf.dtype for leaf in jax.tree.leaves(from_torch(module))} == {jnp.dtype("float64")}


def test_what_the_module_becomes_later_leaves_the_layer_alone(torch):
    module = Case("GRU").module()
    before = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    from_torch(module)  # once for what is compiled, so that it takes no time below
    busy = jnp.ones((2000, 2000))
    for _ in range(3):
        busy = busy @ busy  # what is not copied at once JAX reads when it is done with this
    layer = from_torch(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7)
    busy.block_until_ready()
    for name, value in by_torch_names(layer).items():
        np.testing.assert_array_equal(value, before[name])


# --- To PyTorch


@pytest.mark.parametrize("case", [*LARGEST, *(case for case in LIVE if not case.bias)], ids=str)
def test_weights_come_back_from_pytorch_bit_for_bit(torch, case, dtype):
    layer = stack(
        NAMES[case.mode],
        case.d,
        [case.h] * case.layers,
        bidirectional=case.directions == 2,
        bias="torch" if case.bias else "none",
        init="pytorch",
        rngs=nnx.Rngs(3),
    )
    module = case.module(dtype)
    module.load_state_dict(to_torch_state_dict(layer), strict=True)
    assert {parameter.dtype for parameter in module.parameters()} == {getattr(torch, dtype)}
    back = from_torch(module)
    assert jax.tree.structure(back) == jax.tree.structure(layer)
    jax.tree.map(np.testing.assert_array_equal, back, layer)
    again = from_torch_state_dict(to_torch_state_dict(layer), case.mode)
    jax.tree.map(np.testing.assert_array_equal, again, layer)


@pytest.mark.parametrize("bias", ["torch", "single", "none"])
@pytest.mark.parametrize("mode", MODES)
def test_an_exported_layer_computes_the_same_in_pytorch(torch, mode, bias):
    layer = stack(NAMES[mode], 3, [4, 4], bidirectional=True, bias=bias, init="pytorch", rngs=nnx.Rngs(3))
    assert bias == "none" or all(np.all(leaf != 0) for leaf in jax.tree.leaves(layer))
    module = Case(mode, layers=2, directions=2, bias=bias != "none").module()
    module.load_state_dict(to_torch_state_dict(layer), strict=True)
    xs = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")
    with torch.no_grad():
        ys, _ = module(torch.from_numpy(xs))
    assert difference(layer(xs)[1], ys.numpy()) < 1e-5


def test_what_pytorch_does_to_the_tensors_leaves_the_layer_alone(torch):
    layer = stack("gru", 1, [256], init="pytorch", rngs=nnx.Rngs(3))
    before = [np.array(leaf) for leaf in jax.tree.leaves(layer)]
    for tensor in to_torch_state_dict(layer).values():
        tensor.fill_(7)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(layer), before)


# --- What cannot be moved


def gru_state():
    """A state dict of two GRU layers, 3 -> 4 -> 4."""
    shapes = {"weight_ih_l0": (12, 3), "weight_ih_l1": (12, 4)}
    for number in range(2):
        shapes |= {f"weight_hh_l{number}": (12, 4), f"bias_ih_l{number}": (12,), f"bias_hh_l{number}": (12,)}
    return {name: np.ones(shape, "float32") for name, shape in shapes.items()}


def test_gru_state_is_sound():
    assert from_torch_state_dict(gru_state(), "GRU").features == 4


@pytest.mark.parametrize("mode", ["gru", "RNN", "", None])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ValueError, match=f"^mode must be one of RNN_TANH, RNN_RELU, GRU, LSTM, not {mode!r}$"):
        from_torch_state_dict(gru_state(), mode)


@pytest.mark.parametrize("name", ["weight_hh_l1", "bias_hh_l0", "bias_ih_l1", "bias_hh_l1"])
def test_a_missing_entry_is_named(name):
    state = gru_state()
    del state[name]
    with pytest.raises(ValueError, match=f"^not the state dict of 2 layers of GRU: {name} missing or too many$"):
        from_torch_state_dict(state, "GRU")


@pytest.mark.parametrize("name", ["bias_ih_l0", "weight_ih_l1"])
def test_a_missing_entry_that_others_are_known_by_is_refused(name):
    state = gru_state()
    del state[name]
    with pytest.raises(ValueError, match="^not the state dict of . layers of GRU: .*bias_hh_l1.* missing or too many$"):
        from_torch_state_dict(state, "GRU")


@pytest.mark.parametrize("missing", ["weight_ih_l0", "weight_hh_l0"])
def test_a_state_dict_without_a_first_layer_is_refused(missing):
    state = gru_state()
    del state[missing]
    with pytest.raises(ValueError, match="^no weight_ih_l0 and weight_hh_l0 in a state dict with weight_"):
        from_torch_state_dict(state, "GRU")
    with pytest.raises(ValueError, match="in a state dict with nothing$"):
        from_torch_state_dict({}, "GRU")


@pytest.mark.parametrize("name", ["bias_hh_l2", "weight_hh_l1_reverse", "weight_ih_l1_reverse", "head.weight"])
def test_a_surplus_entry_is_named(name):
    with pytest.raises(ValueError, match=f"^not the state dict of 2 layers of GRU: {name} missing or too many$"):
        from_torch_state_dict(gru_state() | {name: np.ones((12, 4))}, "GRU")


@pytest.mark.parametrize(("name", "lacking"), [("weight_ih_l0_reverse", "hh_l0_reverse"), ("weight_ih_l2", "hh_l2")])
def test_a_surplus_entry_that_asks_for_others_is_refused(name, lacking):
    with pytest.raises(ValueError, match=f"^not the state dict of . layers of GRU: .*{lacking}.* missing or too many$"):
        from_torch_state_dict(gru_state() | {name: np.ones((12, 4))}, "GRU")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("weight_ih_l0", (11, 3), (12, 3)),
        ("weight_ih_l0", (12,), (12, 12)),
        ("weight_hh_l0", (4, 4), (12, 4)),
        ("weight_ih_l1", (12, 3), (12, 4)),
        ("weight_hh_l1", (4, 12), (12, 4)),
        ("bias_ih_l1", (4,), (12,)),
        ("bias_hh_l0", (12, 1), (12,)),
    ],
)
def test_a_wrong_shape_is_named(name, shape, expected):
    with pytest.raises(ValueError) as caught:
        from_torch_state_dict(gru_state() | {name: np.ones(shape)}, "GRU")
    assert str(caught.value) == f"{name} must have shape {expected}, not {shape}"


@pytest.mark.parametrize("mode", ["RNN_TANH", "RNN_RELU", "LSTM"])
def test_weights_of_another_mode_do_not_fit(mode):
    gates = 4 if mode == "LSTM" else 1
    with pytest.raises(ValueError, match=rf"^weight_ih_l0 must have shape \({4 * gates}, 3\), not \(12, 3\)$"):
        from_torch_state_dict(gru_state(), mode)


def test_projections_are_refused(torch):
    with pytest.raises(ValueError, match=r"^an LSTM with projections \(proj_size > 0\) has no counterpart here$"):
        from_torch(torch.nn.LSTM(3, 4, proj_size=2))


def test_projections_are_refused_in_a_state_dict():
    with pytest.raises(ValueError, match="^an LSTM with projections"):
        from_torch_state_dict(gru_state() | {"weight_hr_l0": np.ones((2, 4))}, "LSTM")


def test_another_module_is_refused(torch):
    for module in (torch.nn.Linear(3, 4), torch.nn.GRUCell(3, 4), torch.nn.Upsample(scale_factor=2)):
        with pytest.raises(ValueError, match=f"^expected a torch.nn.RNN, GRU or LSTM, not {type(module).__name__}$"):
            from_torch(module)


def test_what_is_no_module_is_refused():
    with pytest.raises(ValueError, match="^expected a torch.nn.RNN, GRU or LSTM, not dict$"):
        from_torch(gru_state())


class Leaky(Cell):
    """A cell of a user's own."""

    def __init__(self, in_features, features):
        self.in_features, self.features = in_features, features


class Doubled(GRUCell):
    """A cell with PyTorch's weights that makes something else of them."""

    def __call__(self, carry, x):
        return super().__call__(carry, 2 * x)


def cell(kind, d=4, h=4, **options):
    return kind(d, h, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: Stack([Recurrent(Leaky(3, 4))]), "PyTorch has no Leaky"),
        (lambda: Stack([Recurrent(cell(Doubled))]), "PyTorch has no Doubled"),
        (
            lambda: stack("lstm", 3, [4], learn_carry=True, rngs=nnx.Rngs(0)),
            "PyTorch's modules have no learned initial carry; give it to each call instead",
        ),
        (
            lambda: stack("gru", 3, [4, 5], rngs=nnx.Rngs(0)),
            "PyTorch's layers all have the same width, but these have not",
        ),
        (
            lambda: Stack([Bidirectional(cell(GRUCell), cell(GRUCell, h=5))]),
            "PyTorch's layers all have the same width, but these have not",
        ),
        *(
            (
                lambda merge=merge: stack("gru", 3, [4], bidirectional=True, merge=merge, rngs=nnx.Rngs(0)),
                f"PyTorch joins directions by 'concat' only, not by {merge!r}",
            )
            for merge in ("sum", "mean", "product")
        ),
        *(
            (
                lambda parts=parts: Stack(parts),
                "PyTorch's layers all have the same cell, bias and directions, but these have not",
            )
            for parts in (
                [Recurrent(cell(GRUCell)), Recurrent(cell(LSTMCell))],
                [Recurrent(cell(ElmanCell)), Recurrent(cell(ElmanCell, activation="relu"))],
                [Recurrent(cell(GRUCell)), Recurrent(cell(GRUCell, bias="none"))],
                [Recurrent(cell(GRUCell)), Bidirectional(cell(GRUCell), cell(GRUCell))],
                [Bidirectional(cell(GRUCell), cell(LSTMCell))],
            )
        ),
    ],
)
def test_what_pytorch_cannot_hold_is_refused(torch, layer, message):
    with pytest.raises(ValueError) as caught:
        to_torch_state_dict(layer())
    assert str(caught.value) == message


# --- Imports


def test_without_pytorch_there_is_nothing_to_give_tensors_to(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(ImportError):
        to_torch_state_dict(stack("gru", 3, [4], rngs=nnx.Rngs(0)))


def test_importing_the_library_imports_nothing_that_it_may_never_need():
    heavy = ("torch", "tensorflow", "tensorflow_datasets", "orbax", "matplotlib", "sklearn")
    code = f"""
import json, sys
import jaxrnn
import jaxrnn.interop
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []


def test_what_a_state_dict_promises_is_not_drawn():
    vast = {"weight_ih_l0": np.ones((3, 1), "float32"), "weight_hh_l0": np.broadcast_to(np.float32(1), (3, 300_000))}
    with pytest.raises(ValueError, match=r"^weight_ih_l0 must have shape \(900000, 1\), not \(3, 1\)$"):
        from_torch_state_dict(vast, "GRU")


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64", "U1"])
def test_what_is_no_floating_point_number_is_refused(dtype):
    state = gru_state()
    with pytest.raises(ValueError, match="^bias_hh_l1 must have floating point numbers, not "):
        from_torch_state_dict(state | {"bias_hh_l1": state["bias_hh_l1"].astype(dtype)}, "GRU")


def test_names_and_shapes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="^a state dict has names, not 7$"):
        from_torch_state_dict({7: np.ones(3)}, "GRU")
    with pytest.raises(ValueError, match="must have inputs and units$"):
        from_torch_state_dict(gru_state() | {"weight_ih_l0": np.float32(1)}, "GRU")


# --- files of PyTorch's


def saved(torch, path, value, **options):
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_a_file_is_read_bit_for_bit(torch, tmp_path, precision):
    module = torch.nn.LSTM(3, 4, 2, bidirectional=True).to(getattr(torch, precision))
    layer = load_torch(saved(torch, tmp_path / "lstm.pt", module.state_dict()), "LSTM")
    weights = by_torch_names(layer)
    assert set(weights) == set(module.state_dict())
    for name, tensor in module.state_dict().items():
        assert weights[name].dtype == jnp.dtype(precision)
        np.testing.assert_array_equal(np.float32(weights[name]), tensor.float().numpy())
    again = by_torch_names(from_torch(module))
    assert all(jnp.array_equal(weights[name], again[name]) for name in weights)


def refused(path, mode="GRU"):
    with pytest.raises(DataError) as caught:
        load_torch(path, mode)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


class Harmful:
    """What would make a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("made_by_a_pickle",)


def test_nothing_in_a_file_is_executed(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, options in enumerate(({}, {"_use_new_zipfile_serialization": False})):
        assert "more than tensors" in refused(saved(torch, tmp_path / f"{number}.pt", Harmful(), **options))
    refused(saved(torch, tmp_path / "module.pt", torch.nn.GRU(2, 3)))
    assert not (tmp_path / "made_by_a_pickle").exists()


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda torch, state: [1, 2], "holds no state dict"),
        (lambda torch, state: state | {"bias_hh_l0": 7}, "'bias_hh_l0' is no tensor"),
        (lambda torch, state: state | {"bias_hh_l0": torch.eye(3).to_sparse()}, "'bias_hh_l0' is no tensor"),
        (lambda torch, state: state | {"bias_hh_l0": torch.zeros(1).expand(1 << 40)}, "larger than what is stored"),
        (lambda torch, state: state | {"bias_hh_l0": torch.zeros(9, dtype=torch.int64)}, "must have floating point"),
        (lambda torch, state: state | {"head\n": torch.zeros(1)}, "missing or too many"),
        (lambda torch, state: {"model": state}, "'model' is no tensor"),
    ],
)
def test_a_file_of_anything_else_is_refused(torch, tmp_path, change, said):
    state = torch.nn.GRU(2, 3).state_dict()
    assert said in refused(saved(torch, tmp_path / "gru.pt", change(torch, dict(state))))


def test_a_file_that_is_none_or_another_is_refused(torch, tmp_path):
    assert "No such file" in refused(tmp_path / "absent.pt")
    file = saved(torch, tmp_path / "gru.pt", torch.nn.GRU(2, 3).state_dict())
    assert "not the state dict of 1 layers of" not in refused(file, "LSTM")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    refused(file)
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    assert "no archive as torch.save" in refused(tmp_path / "packed.pt")
    file.write_bytes(b"before" + content)
    assert "no archive as torch.save" in refused(file)
    with pytest.raises(ValueError, match="^mode must be one of"):
        load_torch(file, "gru")
