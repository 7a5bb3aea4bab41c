"""The experiments: one command each, `python -m experiments.<name> --help`."""

EXPERIMENTS = (
    "benchmark", "binary_addition", "char_lm", "character_sentiment", "gradient_flow", "imdb_bilstm", "imdb_compare",
    "imdb_gru", "imdb_improve", "imdb_mlp", "imdb_rnn", "lagged_regression", "lstm_gates", "mnist_compare", "mnist_fnn",
    "mnist_gru", "mnist_lstm", "mnist_rnn", "names", "optimizers", "palindromes", "parity", "sum_of_neighbours",
    "sweep", "tanh_vs_sigmoid", "time_gate", "worked_examples",
)  # fmt: skip
"""Every command by its name; each runs to its end with ``--quick``."""

TOOLS = ("all", "report")
"""Commands about the experiments rather than one of them: they run all of them, and show what all came to."""

SWEEPABLE = (
    "char_lm", "character_sentiment", "imdb_bilstm", "imdb_gru", "imdb_mlp", "imdb_rnn", "lagged_regression",
    "lstm_gates", "mnist_gru", "mnist_lstm", "mnist_rnn", "names", "palindromes", "sum_of_neighbours", "time_gate",
)  # fmt: skip
"""The commands that train one study, and so can be swept: their module has it as ``EXPERIMENT``."""
