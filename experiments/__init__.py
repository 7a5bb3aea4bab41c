"""The experiments: one command each, `python -m experiments.<name> --help`."""

EXPERIMENTS = ("benchmark", "mnist_compare", "mnist_fnn", "mnist_gru", "mnist_lstm", "mnist_rnn")
"""Every command by its name; each runs to its end with ``--quick``."""
