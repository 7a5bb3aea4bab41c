"""The experiments: one command each, `python -m experiments.<name> --help`."""

EXPERIMENTS = (
    "benchmark", "binary_addition", "gradient_flow", "lstm_gates", "mnist_compare", "mnist_fnn", "mnist_gru",
    "mnist_lstm", "mnist_rnn", "optimizers", "palindromes", "parity", "sweep", "tanh_vs_sigmoid", "worked_examples",
)  # fmt: skip
"""Every command by its name; each runs to its end with ``--quick``."""

SWEEPABLE = ("lstm_gates", "mnist_gru", "mnist_lstm", "mnist_rnn", "palindromes")
"""The commands that train one study, and so can be swept: their module has it as ``EXPERIMENT``."""
