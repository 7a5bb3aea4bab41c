"""The papers' worked examples: every number to the digits that are printed, and the library beside plain NumPy."""

import csv
import io
import json
from contextlib import redirect_stdout

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import assert_close, few, float64, soon
from experiments import worked_examples
from jaxrnn import worked
from jaxrnn.cells import CELLS, ElmanCell, JordanCell
from jaxrnn.command import command
from jaxrnn.scan import unroll
from jaxrnn.worked import IST, NTU_ELMAN, NTU_JORDAN, Weights

# --- NumPy, from the papers' equations, with their column vectors (I4) ------------------------------------------------


def logistic(u):
    return 1 / (1 + np.exp(-u))


def jordan_in_numpy(weights, xs, y):
    """h(t) = tanh(U^T x(t) + W^T y(t-1) + b), y(t) = sigmoid(V^T h(t) + c): pre-activations, states and outputs."""
    u, w, b, v, c = map(np.asarray, weights)
    steps = []
    for x in xs:
        a = u.T @ x + w.T @ y + b
        h = np.tanh(a)
        y = logistic(v.T @ h + c)
        steps.append((a, h, y))
    return [np.array(column) for column in zip(*steps, strict=True)]


def draw(seed, feedback):
    """Weights and inputs of a network of any widths; ``feedback`` says whether the output is fed back."""
    rng = np.random.default_rng(seed)
    d, m, k, t = rng.integers(1, 5, 4)
    shapes = Weights(u=(d, m), w=(k if feedback else m, m), b=(m,), v=(m, k), c=(k,))
    return Weights(*(rng.normal(size=shape) for shape in shapes)), rng.normal(size=(t, d))


def test_the_elman_cell_is_the_numpy_one():
    @few(max_examples=5)
    @given(st.integers(0, 999))
    def law(seed):
        with float64():
            weights, xs = draw(seed, feedback=False)
            network = worked.elman(weights)
            _, h, logits = worked.elman_in_numpy(weights, xs, np.zeros(len(weights.b)))
            _, states = network.layers(jnp.asarray(xs))
            assert_close(states, h)
            assert_close(network.at_every_step(jnp.asarray(xs)), logits)

    law()


def test_the_jordan_cell_is_the_numpy_one():
    @few(max_examples=5)
    @given(st.integers(0, 999))
    def law(seed):
        with float64():
            weights, xs = draw(seed, feedback=True)
            _, _, y = jordan_in_numpy(weights, xs, np.zeros(len(weights.c)))
            carry, ys = unroll(worked.jordan(weights), jnp.asarray(xs))
            assert_close(ys, y)
            assert_close(carry, y[-1])

    law()


# --- NTU, question 1 --------------------------------------------------------------------------------------------------

ELMAN = [  # a_1, a_2, h_1, h_2, y
    [0.000000, 2.900000, 0.0000000000, 0.9939631674, 0.2707255120],
    [2.790944751, 3.800000, 0.9924973628, 0.9989995978, 0.7283951287],
    [5.383494122, -0.209753428, 0.9999578326, -0.2067304780, 0.9432144288],
    [-0.610180052, 2.399945182, -0.5442538296, 0.9836730824, 0.1126436570],
]
JORDAN = [
    [0.000000, 2.900000, 0.0000000000, 0.9939631674, 0.2707255120],
    [1.841451024, 4.151943166, 0.9509342330, 0.9995050168, 0.7114857561],
    [3.322971512, -0.575068517, 0.9974048067, -0.5190718918, 0.9635055288],
    [-0.372988942, 2.352557187, -0.3566033391, 0.9820645374, 0.1562625867],
]
SLIDES_ELMAN = [[0.0, 0.99, 0.27], [0.99, 1.0, 0.73], [1.0, -0.21, 0.94], [-0.54, 0.98, 0.11]]
SLIDES_JORDAN = [[0.0, 0.99, 0.27], [0.95, 1.0, 0.71], [1.0, -0.52, 0.96], [-0.36, 0.98, 0.16]]


@pytest.mark.parametrize(
    "work, expected, slides",
    [(worked.ntu_elman, ELMAN, SLIDES_ELMAN), (worked.ntu_jordan, JORDAN, SLIDES_JORDAN)],
    ids=["elman", "jordan"],
)
def test_ntu_question_1(work, expected, slides):
    """N1 and N2: to ten digits, and to the slides' two; in single precision too."""
    with float64():
        trace = work()
    expected = np.array(expected)
    np.testing.assert_allclose(trace["a"], expected[:, :2], rtol=0, atol=5.1e-10)
    np.testing.assert_allclose(trace["h"], expected[:, 2:4], rtol=0, atol=5.1e-11)
    np.testing.assert_allclose(trace["y"], expected[:, 4:], rtol=0, atol=5.1e-11)
    np.testing.assert_allclose(np.round(np.hstack([trace["h"], trace["y"]]), 2), slides, rtol=0, atol=1e-15)
    np.testing.assert_allclose(work()["y"], trace["y"], atol=1e-6)


def test_ntu_question_1_in_numpy():
    with float64():
        for trace, steps in (
            (worked.ntu_elman(), worked.elman_in_numpy(NTU_ELMAN, worked.NTU_INPUTS, np.zeros(2))),
            (worked.ntu_jordan(), jordan_in_numpy(NTU_JORDAN, worked.NTU_INPUTS, np.zeros(1))),
        ):
            assert_close(trace["a"], steps[0], 1e-15)
            assert_close(trace["h"], steps[1], 1e-15)
        assert_close(trace["y"], steps[2], 1e-15)


def test_the_slides_numbers_are_the_library_s():
    for network, slides in (("elman", SLIDES_ELMAN), ("jordan", SLIDES_JORDAN)):
        printed = worked.NTU_PRINTED[network]
        np.testing.assert_array_equal(np.column_stack([printed["h"], printed["y"]]), slides)


def test_w_in_place_of_its_transpose_is_seen_at_two_decimals_from_the_third_step_on():
    with float64():
        ys = worked.ntu_elman(NTU_ELMAN._replace(w=np.transpose(NTU_ELMAN.w)))["y"][:, 0]
    np.testing.assert_allclose(ys, [0.2707, 0.7270, 0.9259, 0.1672], rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(np.round(ys, 2), [0.27, 0.73, 0.93, 0.17], rtol=0, atol=1e-15)


def test_of_the_jordan_network_it_does_not_fit():
    with pytest.raises(ValueError, match=r"w_y of JordanCell must have shape \(1, 2\), not \(2, 1\)"):
        worked.jordan(NTU_JORDAN._replace(w=np.transpose(NTU_JORDAN.w)))


def test_the_third_weight_of_the_slides_does_not_fit():
    """Trap 20: V^T is printed as (2.0, -1.5, 0.2) for two hidden units."""
    with pytest.raises(ValueError, match=r"v of JordanCell must have shape \(2, 1\), not \(3, 1\)"):
        cell = worked.jordan(NTU_JORDAN)
        worked._set(cell, v=[[2.0], [-1.5], [0.2]])


def test_rounding_the_state_by_hand_changes_no_printed_digit_and_rounding_the_output_does():
    """h(t) of the Elman network to two decimals is enough for two; y(t) of the Jordan network is not, at the end."""
    with float64():
        ys = worked.ntu_by_hand()
    np.testing.assert_allclose(np.round(ys["elman"][:, 0], 2), [0.27, 0.73, 0.94, 0.11], rtol=0, atol=1e-15)
    np.testing.assert_allclose(ys["jordan"][:, 0], [0.27, 0.71, 0.96, 0.15], rtol=0, atol=1e-15)


@pytest.mark.parametrize("work, weights", [(worked.ntu_elman, NTU_ELMAN), (worked.ntu_jordan, NTU_JORDAN)])
def test_two_biases_are_twice_the_bias(work, weights):
    with float64():
        twice = work(bias="torch")
        assert_close(twice, work(weights._replace(b=2 * np.array(weights.b))), 1e-15)
        assert np.abs(twice["y"] - work()["y"]).max() > 0.01


# --- IST, question 1 --------------------------------------------------------------------------------------------------


def equal(values, expected, decimals=10):
    """All of a step's values are one number, the expected one to so many decimals."""
    for row, number in zip(np.asarray(values).reshape(2, -1), expected, strict=True):
        np.testing.assert_allclose(row, number, rtol=0, atol=0.51 * 10.0**-decimals)


def test_ist_question_1():
    """I3: every intermediate, both losses of the steps, their sum and their mean."""
    with float64():
        trace = worked.ist()
    equal(trace["a"], (0.5, 1.2386351472))
    equal(trace["h"], (0.4621171573, 0.8450658836))
    equal(trace["logits"], (0.2386351472, 0.3535197651))
    equal(trace["p"], (0.5, 0.5), 15)
    equal(trace["ce"], (0.6931471806, 0.6931471806))
    assert {name: array.shape for name, array in trace.items()} == {
        "a": (2, 3), "h": (2, 3), "logits": (2, 2), "p": (2, 2), "ce": (2,),
    }  # fmt: skip
    losses = np.asarray(trace["ce"])
    np.testing.assert_allclose((losses.sum(), losses.mean()), (1.3862943611, 0.6931471806), rtol=0, atol=5.1e-11)


@pytest.mark.parametrize("biases, h_0", [(1, 0.0), (2, 0.0), (1, 0.1)])
def test_ist_question_1_in_numpy_and_in_closed_form(biases, h_0):
    """I4, and the same with each mistake."""
    weights = IST._replace(b=biases * IST.b)
    with float64():
        trace = worked.ist(bias="torch" if biases == 2 else "single", h_0=h_0)
        for letter, expected in worked.ist_in_numpy(weights, h_0).items():
            assert_close(trace[letter], expected, 1e-15)
            equal(trace[letter], worked.ist_closed_form(biases, h_0)[letter], 15)


def test_ist_with_two_biases():
    """Trap 41."""
    with float64():
        trace = worked.ist(bias="torch")
    equal(trace["a"], (0.6, 1.3611148701))
    equal(trace["h"], (0.5370495670, 0.8766513926))
    equal(trace["p"], (0.5, 0.5), 15)


def test_ist_from_the_other_year_s_initial_state():
    with float64():
        trace = worked.ist(h_0=0.1)
    equal(trace["a"], (0.53, 1.2456143272))
    equal(trace["h"], (0.4853810906, 0.8470492477))
    # the second is 0.35411477431, as 0.3 * 0.84704924771 + 0.1
    equal(trace["logits"], (0.2456143272, 0.3541147743))


def test_the_first_gradient_leaves_the_hidden_layer_untouched():
    """To the bit in the hidden layer; in the output layer (h_2 - h_1) / 2, + for the first class."""
    with float64():
        gradient = worked.ist_gradient(worked.elman(IST))
    for name in ("W_x", "W_h", "b", "b_y"):
        np.testing.assert_array_equal(gradient[name], 0.0)
    np.testing.assert_allclose(gradient["W_y"][0], 0.1914743632, rtol=0, atol=5.1e-11)
    np.testing.assert_allclose(gradient["W_y"][1], -0.1914743632, rtol=0, atol=5.1e-11)
    expected = worked.ist_gradient_closed_form()
    assert {name: slope.shape for name, slope in gradient.items()} == {n: e.shape for n, e in expected.items()}
    for name, slope in expected.items():
        np.testing.assert_allclose(gradient[name], slope, rtol=0, atol=1e-15)


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_units_that_start_equal_stay_equal(steps):
    """Rows and columns of every matrix, after so many updates; from the second on the hidden layer does learn."""
    with float64():
        start = worked.elman(IST)
        end, seen = soon(worked.ist_descent, static_argnums=1)(start, steps, 0.1)
        cell = worked.cell_of(end)
        for weights in (cell.w_x[...].T, cell.w_h[...], cell.w_h[...].T, cell.b_x[...][:, None], end.head.kernel[...]):
            np.testing.assert_allclose(weights, np.broadcast_to(weights[0], weights.shape), rtol=0, atol=1e-14)
        assert worked.unit_difference(end) <= 1e-14
        assert seen["loss"][0] == pytest.approx(2 * np.log(2)) and seen["hidden_gradient"][0] == 0
        moved = worked.max_magnitude(jax.tree.map(jnp.subtract, worked.cell_of(end), worked.cell_of(start)))
        assert moved == 0 if steps == 1 else moved > 1e-3
        if steps > 1:
            assert seen["hidden_gradient"][1] > 1e-3 and seen["loss"][-1] < seen["loss"][0]


def test_descent_is_the_updates_one_by_one():
    with float64():
        network = worked.ist_drawn(jax.random.key(0))
        end, seen = worked.ist_descent(network, 2, 0.1)
        for update in range(2):
            loss, gradient = jax.value_and_grad(worked.ist_loss)(network)
            np.testing.assert_allclose(seen["loss"][update], loss, rtol=1e-12)
            np.testing.assert_allclose(seen["difference"][update], worked.unit_difference(network), rtol=1e-12)
            network = jax.tree.map(lambda weight, slope: weight - 0.1 * slope, network, gradient)
        assert_close(end, network)
        assert seen["difference"].min() > 0.1


def test_one_other_weight_makes_another_unit():
    with float64():
        network = worked.elman(IST)
        assert worked.unit_difference(network) == 0
        for module, name in ((worked.cell_of(network), name) for name in ("w_x", "w_h", "b_x")):
            param = getattr(module, name)
            before = param[...]
            param[...] = before.at[..., 1].add(0.25)
            np.testing.assert_allclose(worked.unit_difference(network), 0.25)
            param[...] = before
        network.head.kernel[...] = network.head.kernel[...].at[2].add(0.25)
        np.testing.assert_allclose(worked.unit_difference(network), 0.25)


def test_the_networks_are_the_library_s_cells():
    assert type(worked.cell_of(worked.elman(NTU_ELMAN))) is ElmanCell
    assert type(worked.jordan(NTU_JORDAN)) is JordanCell


# --- the command ------------------------------------------------------------------------------------------------------


def run(out, *options):
    words = [*options, "--out", str(out)]
    return command("worked_examples", worked_examples.Settings, worked_examples.main, words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("worked") / "run"
    said = io.StringIO()
    with redirect_stdout(said):
        assert run(out, "--quick") == 0
    return out, said.getvalue()


def test_the_command_shows_what_the_papers_print(finished):
    out, said = finished
    for number in ("0.270726", "0.9259", "0.4621171573", "0.5370495670", "0.4853810906", "0.1914743632", "66,560"):
        assert number in said
    assert "…" not in said
    result = json.loads((out / "result.json").read_text())
    metrics = {name: metric["mean"] for name, metric in result["metrics"].items()}
    assert metrics["max_error"] < 1e-15 and metrics["max_error_elman"] == metrics["max_error_jordan"] == 0
    assert metrics["max_error_numpy"] < 1e-15 and f"{metrics['max_error_numpy']:.2g}" in result["answers"]["I4"]
    assert metrics["errors"] == 0 and metrics["hidden_gradient_first"] == 0 < metrics["hidden_gradient_second"]
    assert metrics["unit_difference"] < 1e-14
    for reference in result["reference"]:
        digits = 2 if reference["metric"][-2] == "y" else 15
        assert round(metrics[reference["metric"]], digits) == pytest.approx(reference["value"], abs=1e-15)
    assert len(result["reference"]) == 10
    assert set(result["answers"]) == {"N1", "N2", "I2", "I3", "I4", "U7"}
    assert "t = 3, 4" in result["answers"]["N1"] and "(two decimals show it at t = 4)" in result["answers"]["N2"]
    assert f"wrong for 0 of {18 * len(CELLS)}" in result["answers"]["U7"]
    assert result["config"] == {"quick": True, "updates": 50}


def test_every_number_is_in_the_file(finished):
    with open(finished[0] / "worked_examples.csv") as file:
        lines = list(csv.DictReader(file))
    states = {
        (line["example"], int(line["t"]), int(line["unit"])): float(line["value"])
        for line in lines
        if (line["variant"], line["quantity"]) == ("computed", "h")
    }
    for example, table in (("ntu_elman", ELMAN), ("ntu_jordan", JORDAN)):
        for t, row in enumerate(table, start=1):
            assert [states[example, t, unit] for unit in (1, 2)] == pytest.approx(row[2:4], abs=5.1e-11)
    expected = [(float(line["value"]), float(line["expected"])) for line in lines if line["expected"]]
    assert len(expected) == 2 * 4 * 3 + 3 * (2 * 3 * 2 + 2 * 2 * 2 + 2)
    assert all(value == pytest.approx(wanted, abs=5.1e-3) for value, wanted in expected)


def test_too_few_updates_are_one_line_and_2(tmp_path, capsys):
    assert run(tmp_path / "run", "--updates", "1") == 2
    assert "--updates must be at least 2, not 1" in capsys.readouterr().err and not (tmp_path / "run").exists()
