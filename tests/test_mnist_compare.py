"""What is said of the networks side by side follows from their numbers, whichever way they come out."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments import mnist_compare, mnist_fnn
from experiments.mnist_compare import RECURRENT, Settings
from jaxrnn import runfolder
from jaxrnn.data import Dataset

GOOD, FAIR = [0.98, 0.981, 0.979], [0.95, 0.951, 0.949]


def dataset(ink=0):
    images = np.zeros((6, 28, 28), np.uint8)
    images[:3, -1, 5] = ink
    return Dataset("mnist", "made up", images, np.arange(6), images, np.arange(6), 10)


def answered(own=0.3, readout=0.8, **accuracies):
    """The answers for these accuracies of the networks, `FAIR` where none are given, and these after half of the
    rows."""
    outcomes = {
        key: SimpleNamespace(
            result={
                "metrics": {"test_accuracy": runfolder.metric(accuracies.get(key, FAIR))},
                "parameters": 1234,
                "answers": {"T10": "the RNN's own"},
            }
        )
        for key in (*RECURRENT, "flax_gru", "fnn_image", "fnn_last_row")
    }
    found = {"lstm_cell_parameters_one_bias": 107_400, "lstm_parameters_one_bias": 108_910}
    for key in RECURRENT:
        found[f"{key}_accuracy_half_read"] = np.full(3, own)
        found[f"{key}_accuracy_half_read_trained"] = np.full(3, readout)
        found[f"{key}_accuracy_moved_in_time"] = np.full(3, 0.5)
    return mnist_compare.answers(Settings(), dataset(), outcomes, found)


@pytest.mark.parametrize(
    "rnn, gru, words",
    [
        (FAIR, GOOD, "The GRU is better than the RNN, by more than both intervals together."),
        (GOOD, FAIR, "The GRU is worse than the RNN, by more than both intervals together."),
        ([0.9, 0.96, 0.95], FAIR, "The GRU is better than the RNN, but by less than both intervals together: it may"),
        ([0.96], [0.95], "The GRU is worse than the RNN, in one run each"),
        (FAIR, FAIR, "The GRU is as good as the RNN."),
        ([np.nan], FAIR, "The GRU is better than the RNN"),
    ],
)
def test_the_better_one_is_named_by_the_numbers(rnn, gru, words):
    assert words in answered(rnn=rnn, gru=gru)["T21"]


def test_the_lstm_is_compared_with_both_others():
    said = answered(rnn=FAIR, gru=[0.9, 0.91, 0.92], lstm=GOOD)["T22"]
    assert "The LSTM is better than the RNN, by" in said and "The LSTM is better than the GRU, by" in said


def test_the_zero_states_are_those_of_the_networks():
    said = answered()
    assert "is 128 x 150. " in said["T21"] and "(128 x 150 and 128 x 150)" in said["T22"]
    assert said["T10"] == "the RNN's own"


@pytest.mark.parametrize("own, readout, holds", [(0.3, 0.8, True), (0.8, 0.8, False), (0.01, 0.05, False)])
def test_the_state_is_said_to_hold_what_a_readout_finds_there(own, readout, holds):
    assert ("what was read is in the state" in answered(own, readout)["T19"]) == holds


def test_one_row_is_enough_where_the_numbers_say_so():
    assert answered(fnn_last_row=[0.1, 0.2, 0.1])["T19"].startswith("No: ")
    assert answered()["T19"].startswith("Here, yes: ")
    assert answered(fnn_last_row=FAIR, rnn=[0.9], fnn_image=GOOD)["T19"].startswith("Here, yes: ")


def test_rows_without_ink_are_counted():
    assert mnist_fnn.empty_last_row(dataset()) == 1 and mnist_fnn.empty_last_row(dataset(ink=9)) == 0.5
