"""Hand-set networks do what they were set to do, on every input there is up to some length."""

import csv
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import few, float64
from experiments import binary_addition, parity
from jaxrnn.command import command
from jaxrnn.threshold import (
    ElmanRNN,
    JordanRNN,
    add,
    adder_truth_table,
    binary_adder_params,
    bits_of,
    bits_to_int,
    elman_rnn,
    hard_threshold,
    int_to_bits,
    jordan_rnn,
    parity_params,
    parity_rnn,
    trace,
    xor_net,
    xor_params,
)

FORMS = ("jordan", "elman")
THRESHOLDS = ("integer", "float")


def sigma(a):
    return np.where(np.asarray(a) > 0, 1, 0)


def stepped(params, xs):
    """The equations in NumPy, one sequence, a step at a time."""
    u, w, b_h, v, b_y, state = (np.asarray(leaf) for leaf in params)
    hs, ys = [], []
    for x in xs:
        h = sigma(u @ x + (w @ state if isinstance(params, ElmanRNN) else w * state) + b_h)
        y = sigma(v @ h + b_y)
        state = h if isinstance(params, ElmanRNN) else y
        hs.append(h)
        ys.append(y)
    return np.array(hs), np.array(ys)


def random_params(kind, seed, d=2, h=3):
    draw = partial(np.random.default_rng(seed).integers, -2, 3)
    if kind is ElmanRNN:
        return ElmanRNN(draw((h, d)), draw((h, h)), draw(h), draw(h), draw(()), draw(h) % 2)
    return JordanRNN(draw((h, d)), draw(h), draw(h), draw(h), draw(()), draw(()) % 2)


def every_sequence(length):
    return np.stack([int_to_bits(number, length) for number in range(2**length)])


# --- the networks as such ---------------------------------------------------------------------------------------------


def test_the_threshold_is_strict():
    assert hard_threshold(jnp.array([-1, 0, 1])).tolist() == [0, 0, 1]
    assert hard_threshold(jnp.array([-0.0, 1e-30, jnp.nan])).tolist() == [0, 1, 0]
    assert hard_threshold(jnp.array([0.5])).dtype == jnp.float32


@pytest.mark.parametrize("kind, run", [(ElmanRNN, elman_rnn), (JordanRNN, jordan_rnn)])
def test_a_network_is_its_equations(kind, run):
    """In any number of batch dimensions, compiled, and over parameters and inputs at once by `jax.vmap`."""
    params = [random_params(kind, seed) for seed in range(20)]
    xs = np.random.default_rng(1).integers(0, 2, (2, 4, 6, 2))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
    hs, ys = jax.jit(jax.vmap(run, in_axes=(0, None)))(stacked, xs)
    assert hs.shape == (20, 2, 4, 6, 3) and ys.shape == (20, 2, 4, 6)
    assert len({bytes(np.asarray(one)) for one in hs}) > 5
    for place, one in enumerate(params):
        for row in np.ndindex(2, 4):
            h, y = stepped(one, xs[row])
            np.testing.assert_array_equal(hs[place][row], h)
            np.testing.assert_array_equal(ys[place][row], y)
    h, y = run(params[3], xs[1, 2])
    np.testing.assert_array_equal(h, hs[3, 1, 2])
    np.testing.assert_array_equal(y, ys[3, 1, 2])


def test_types_are_kept_and_met():
    def dtype(run, params, xs):
        return jax.eval_shape(run, params, xs)[1].dtype

    assert dtype(elman_rnn, binary_adder_params(), np.zeros((3, 2), bool)) == jnp.int32
    assert dtype(elman_rnn, parity_params("float"), np.zeros((3, 1), int)) == jnp.float32
    with float64():
        assert dtype(jordan_rnn, xor_params(), np.zeros((3, 1))) == jnp.float64


@pytest.mark.parametrize("run", [elman_rnn, trace])
@pytest.mark.parametrize("shape", [(2,), (4, 3), ()])
def test_inputs_of_another_shape_are_said(run, shape):
    with pytest.raises(ValueError, match=r"xs must be \(\*batch, time, 2\)"):
        run(binary_adder_params(), np.zeros(shape, int))


# --- the adder --------------------------------------------------------------------------------------------------------


def test_the_papers_example():
    """R1, R2: 39 + 50 = 89, with the trace that requirements have."""
    params = binary_adder_params()
    assert [np.asarray(leaf).tolist() for leaf in params] == [
        [[1, 1]] * 3, [[0, 1, 0]] * 3, [0, -1, -2], [1, -1, 1], 0, [0, 0, 0],
    ]  # fmt: skip
    xs = bits_of(39, 50, width=7)
    assert xs.T.tolist() == [[1, 1, 1, 0, 0, 1, 0], [0, 1, 0, 0, 1, 1, 0]]
    ux, wh, h, vh, y = (np.asarray(values) for values in trace(params, xs))
    assert y.tolist() == [1, 0, 0, 1, 1, 0, 1] and bits_to_int(y) == 89
    assert ["".join(map(str, row)) for row in h] == ["100", "110", "110", "100", "100", "110", "100"]
    assert ux.tolist() == [[s] * 3 for s in xs.sum(1)]
    assert wh.tolist() == [[c] * 3 for c in (0, 0, 1, 1, 0, 0, 1)]
    assert vh.tolist() == y.tolist()
    before = np.concatenate([[[0, 0, 0]], h[:-1]])
    np.testing.assert_array_equal(sigma(ux + wh + np.asarray(params.b_h)), h)
    np.testing.assert_array_equal(before @ np.asarray(params.W).T, wh)


@pytest.mark.parametrize("width", range(1, 7))
def test_all_pairs_of_a_width(width):
    """Of each width by itself, with one zero of padding, and the carry that the paper's program reads off W h (R4)."""
    xs, sums = binary_addition.all_pairs(width)
    assert len(xs) == 4**width and xs.shape[1:] == (width + 1, 2)
    assert len({row.tobytes() for row in xs}) == len(xs)
    hs, ys = elman_rnn(binary_adder_params(), xs)
    np.testing.assert_array_equal(ys, sums)
    carries = (np.asarray(hs)[:, -2] @ np.asarray(binary_adder_params().W).T == 1).all(1)
    np.testing.assert_array_equal(carries, sums[:, -1])
    place = 2**width + 1 if width > 1 else 3
    assert bits_to_int(xs[place, :, 0]) + bits_to_int(xs[place, :, 1]) == bits_to_int(sums[place])


def test_ten_thousand_random_pairs_in_one_call():
    xs, sums = binary_addition.random_pairs(10_000, 256)
    assert xs.shape == (10_000, 257, 2) and not xs[:, -1].any() and 0.49 < xs[:, :-1].mean() < 0.51
    assert binary_addition.errors(binary_adder_params(), xs, sums) == 0
    sums[17, 100] ^= 1
    assert binary_addition.errors(binary_adder_params(), xs, sums) == 1


def test_a_wrong_network_is_found_out():
    wrong = binary_adder_params()._replace(b_h=jnp.array([0, -1, -1]))
    assert binary_addition.errors(wrong, *binary_addition.all_pairs(3)) > 0


def test_the_truth_table():
    """R3: the state stands for bits and carry together, and W h has three entries, all of them the carry."""
    table = adder_truth_table(binary_adder_params())
    assert list(zip(table.carry, table.bits, table.total, strict=True)) == [
        (0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 1), (1, 1, 2), (1, 2, 3),
    ]  # fmt: skip
    states = {0: [0, 0, 0], 1: [1, 0, 0], 2: [1, 1, 0], 3: [1, 1, 1]}
    assert table.h.tolist() == [states[total] for total in table.total]
    assert table.Wh.tolist() == [[total // 2] * 3 for total in table.total]
    assert table.y.tolist() == table.vh.tolist() == [total % 2 for total in table.total]


@few(max_examples=30)
@given(st.integers(0, 2**300), st.integers(0, 2**300))
def test_any_two_numbers_are_added(a, b):
    assert add(a, b) == a + b


def test_adding_at_the_edges():
    assert add(0, 0) == 0 and add(1, 1) == 2 and add(2**64 - 1, 1) == 2**64
    assert add(2**700 - 1, 1) == 2**700 and type(add(1, 2)) is int
    assert add(np.int64(39), jnp.int32(50)) == 89


BAD_NUMBERS = [
    (-1, "-1 is negative"),
    (-(2**100), "a number of 101 bits is negative"),
    (True, "True is not a whole number but bool"),
    (np.True_, "not a whole number but bool"),
    (2.0, "2.0 is not a whole number but float"),
    ("39", "'39' is not a whole number but str"),
    (None, "None is not a whole number"),
    (np.float32(3), "not a whole number"),
    ([1, 0], "not a whole number"),
]


@pytest.mark.parametrize("number, words", BAD_NUMBERS)
def test_what_is_no_natural_number_is_said(number, words):
    for call in (lambda: add(number, 1), lambda: add(1, number), lambda: int_to_bits(number, 8)):
        with pytest.raises(ValueError, match=words):
            call()


# --- integers and bits ------------------------------------------------------------------------------------------------


@few(max_examples=40)
@given(st.integers(0, 2**400), st.integers(0, 30))
def test_bits_and_back(number, more):
    width = number.bit_length() + more
    bits = int_to_bits(number, width)
    assert bits.shape == (width,) and bits.dtype == np.int32
    assert bits.tolist() == [number >> place & 1 for place in range(width)]
    assert bits_to_int(bits) == number == bits_to_int(bits.tolist()) == bits_to_int(jnp.asarray(bits, "float32"))


def test_no_bits_at_all():
    assert int_to_bits(0, 0).shape == (0,) and bits_to_int([]) == 0


@pytest.mark.parametrize(
    "width, words", [(3, "8 has 4 bits: too many for a width of 3"), (-1, "negative"), (4.0, "4.0")]
)
def test_a_width_that_does_not_do_is_said(width, words):
    with pytest.raises(ValueError, match=words):
        int_to_bits(8, width)


@pytest.mark.parametrize(
    "bits", [[0, 2], [-1, 0], [0.5], [float("nan")], ["1"], [None], np.array([1, 0, 255], "uint8")]
)
def test_other_than_bits_is_said(bits):
    with pytest.raises(ValueError, match="bits must be 0 or 1"):
        bits_to_int(bits)
    with pytest.raises(ValueError, match="bits must be 0 or 1"):
        parity_rnn(bits)


@pytest.mark.parametrize("bits", [1, [[1, 0]], np.zeros((2, 0))])
def test_bits_of_one_number_are_one_row(bits):
    with pytest.raises(ValueError, match="one row"):
        bits_to_int(bits)


# --- XOR and parity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_the_xor_net(thresholds):
    """T1: with b = (0, -1) or (-0.5, -1.5), where no unit ever stands at its threshold."""
    params = xor_params(thresholds)
    x, s = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    h, y = xor_net(params, x, s)
    assert h.tolist() == [[0, 0], [1, 0], [1, 0], [1, 1]] and y.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(xor_net(params, x.reshape(2, 2), s.reshape(2, 2))[1], [[0, 1], [1, 0]])
    expected = {"integer": ([0, -1], 0), "float": ([-0.5, -1.5], -0.5)}[thresholds]
    assert (params.b_h.tolist(), params.b_y.item()) == expected
    if thresholds == "float":
        a = x[:, None] + s[:, None] + np.asarray(params.b_h)
        assert np.abs(a).min() == 0.5 and np.abs(np.asarray(h) @ [1, -1] - 0.5).min() == 0.5


def test_the_xor_net_is_the_adder_without_its_third_unit():
    adder, xor = binary_adder_params(), xor_params()
    assert adder.U[:2, :1].tolist() == xor.U.tolist()
    assert adder.b_h[:2].tolist() == xor.b_h.tolist() and adder.v[:2].tolist() == xor.v.tolist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("thresholds", THRESHOLDS)
@pytest.mark.parametrize("length", [1, 2, 10])
def test_outputs_are_the_parity_so_far(form, thresholds, length):
    """T3, T5: at every step of every sequence, and so of every shorter one."""
    xs = every_sequence(length)
    np.testing.assert_array_equal(parity_rnn(xs, form=form, thresholds=thresholds), np.cumsum(xs, 1) % 2)


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_both_forms_are_one_network(thresholds):
    """T4: the same hidden states and outputs, W = [[1, -1], [1, -1]]."""
    xs = every_sequence(8)[..., None]
    jordan, elman = xor_params(thresholds), parity_params(thresholds)
    assert elman.W.tolist() == [[1, -1], [1, -1]]
    for one, other in zip(jordan_rnn(jordan, xs), elman_rnn(elman, xs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("s_1", [0, 1])
def test_the_first_state_decides_the_first_output(s_1):
    """T2: y[1] = x[1] from s[1] = 0, and its opposite from 1, which all later outputs keep."""
    xs = every_sequence(5)
    params = xor_params()._replace(s_1=jnp.asarray(s_1))
    np.testing.assert_array_equal(jordan_rnn(params, xs[..., None])[1], (s_1 + np.cumsum(xs, 1)) % 2)


def test_parity_is_compiled_and_mapped():
    xs = every_sequence(4)
    np.testing.assert_array_equal(jax.jit(jax.vmap(parity_rnn))(jnp.asarray(xs)), np.cumsum(xs, 1) % 2)


def test_words_that_mean_nothing_are_said():
    with pytest.raises(ValueError, match="form must be 'jordan' or 'elman', not 'hopfield'"):
        parity_rnn([0, 1], form="hopfield")
    with pytest.raises(ValueError, match="thresholds must be 'integer' or 'float', not 'half'"):
        parity_rnn([0, 1], thresholds="half")


# --- the commands -----------------------------------------------------------------------------------------------------


def run(module, name, out, *arguments):
    assert command(name, module.Settings, module.main, [*arguments, "--out", str(out)]) == 0
    return json.loads((out / "result.json").read_text())


def test_any_two_numbers_on_the_command_line(tmp_path, capsys):
    a, b = 10**120 + 7, 2**200 + 1
    result = run(binary_addition, "binary_addition", tmp_path / "run", str(a), bin(b))
    assert result["sum"] == str(a + b) and result["parameters"] == 25
    metrics = {name: values["mean"] for name, values in result["metrics"].items()}
    assert (metrics["errors"], metrics["census"], metrics["census_u+1"], metrics["census_u-1"]) == (0, 8112, 2232, 5880)
    assert (metrics["census_h0=0"], metrics["census_errors"], metrics["census_unordered"]) == (816, 0, 1352)
    assert set(result["answers"]) == {"R1", "R2", "R3", "R4"} and "in 6 of the 6 cases" in result["answers"]["R3"]
    assert {"errors"} == {one["metric"] for one in result["reference"]} and metrics["cases_as_printed"] == 6
    assert (tmp_path / "run" / "truth_table.png").exists()
    with open(tmp_path / "run" / "trace.csv") as file:
        rows = list(csv.DictReader(file))
    assert bits_to_int([int(row["y"]) for row in rows]) == a + b and len(rows) == a.bit_length() + 1
    assert bits_to_int([int(row["x_2"]) for row in rows]) == b
    with open(tmp_path / "run" / "adders.csv") as file:
        assert sum(1 for _ in file) == 8112 + 1
    said = capsys.readouterr().out
    assert "the first 40 of 400 steps" in " ".join(said.split())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["-3", "4"], "-3 is negative"),
        (["0b-1", "4"], "0b-1 is negative"),
        (["4", "1.5"], "1.5 is not a whole number"),
        (["4", "four"], "four is not a whole number"),
        (["0b12", "4"], "0b12 is not a number in bits"),
        (["0b", "4"], "0b is not a number in bits"),
        (["4"], "give two numbers to add"),
        (["1", "2", "3"], "give two numbers to add"),
        (["1", "9" * 2000], "has more than 4,096 bits"),
        (["1", "9" * 9000], "has more than 4,096 bits"),
        (["0b" + "1" * 5000, "1"], "has more than 4,096 bits"),
    ],
)
def test_what_cannot_be_added_is_one_line_and_2(arguments, words, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = [*arguments, "--out", str(out)]
    assert command("binary_addition", binary_addition.Settings, binary_addition.main, arguments) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and len(said) < 250 and not out.exists()


@pytest.mark.parametrize(
    "text, number", [("0b100111", 39), ("0B1", 1), ("0", 0), ("007", 7), ("0b" + "0" * 9 + "1", 1)]
)
def test_numbers_are_read(text, number):
    assert binary_addition.parsed(text) == number


def test_parity_is_proved(tmp_path, capsys):
    result = run(parity, "parity", tmp_path / "run")
    counts = {name: int(values["mean"]) for name, values in result["metrics"].items()}
    tried = {"sequences": 2**17 - 2, "longest_sequences": 2**16, "outputs": 16 * 2**16}
    assert {name: count for name, count in counts.items() if count} == tried
    assert set(result["answers"]) == {"T1", "T2", "T3", "T4", "T5"} and "131,070" in result["answers"]["T3"]


def test_mistakes_of_parity_are_counted(monkeypatch):
    """One wrong output at step 16 is one sequence; one at step 1 is that sequence, however many go on from it."""
    right = parity.parity_rnn

    def wrong(bits, **options):
        ys = np.asarray(right(bits, **options)).copy()
        ys[bits[:, 0] == 1, 0] = 0
        ys[5, 15] = 1 - ys[5, 15]
        return ys

    monkeypatch.setattr(parity, "parity_rnn", wrong)
    counted = parity.proof()
    assert counted["errors"] == 2 and counted["output_errors"] == 2**15 + 1 and counted["differences"] == 0
