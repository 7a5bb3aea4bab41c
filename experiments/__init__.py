"""The experiments: one command each, `python -m experiments.<name> --help`."""

EXPERIMENTS = (
    "benchmark", "binary_addition", "gradient_flow", "mnist_compare", "mnist_fnn", "mnist_gru", "mnist_lstm",
    "mnist_rnn", "parity", "tanh_vs_sigmoid", "worked_examples",
)  # fmt: skip
"""Every command by its name; each runs to its end with ``--quick``."""
