"""The numbers that each command is summed up by: in the report's overview and lists of runs."""

import re
from collections.abc import Mapping
from typing import Any

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "benchmark": (r"\w+_ratio_fastest",),
    "binary_addition": ("errors", "census"),
    "char_lm": ("test_bits_per_character", "test_accuracy"),
    "character_sentiment": ("train_accuracy", "test_accuracy"),
    "gradient_flow": ("bptt_error",),
    "imdb_bilstm": ("test_accuracy",),
    "imdb_compare": (r"\w+_test_accuracy",),
    "imdb_gru": ("test_accuracy",),
    "imdb_improve": (r"\w+_test_accuracy",),
    "imdb_mlp": ("test_accuracy",),
    "imdb_rnn": ("test_accuracy",),
    "lagged_regression": ("train_mse", "test_mse"),
    "lstm_gates": ("intact_test_accuracy", "[fg]_held_test_accuracy"),
    "mnist_compare": (r"\w+_test_accuracy",),
    "mnist_fnn": (r"(?:\w+_)?test_accuracy",),
    "mnist_gru": ("test_accuracy",),
    "mnist_lstm": ("test_accuracy",),
    "mnist_rnn": ("test_accuracy",),
    "names": ("test_loss", "novelty_all", "language_match"),
    "optimizers": (r"\w+_test_accuracy", "clipped_largest_norm", "unclipped_largest_norm"),
    "palindromes": (r"[a-z_]+_\d+_test_accuracy",),
    "parity": ("errors", "differences"),
    "sum_of_neighbours": ("train_mse", "test_mse"),
    "sweep": (r"test_\w+",),
    "tanh_vs_sigmoid": ("rho_power_20", "crossover"),
    "time_gate": ("period_error", r"\w+_test_accuracy"),
    "worked_examples": ("max_error",),
}
"""By the command's name, regular expressions that its metrics' names match from end to end; the first ones first."""


def headlines(name: str, metrics: Mapping[str, Any]) -> list[str]:
    """The names of a run's metrics that sum it up."""
    found = [key for pattern in HEADLINES[name] for key in metrics if re.fullmatch(pattern, key)]
    return list(dict.fromkeys(found))
