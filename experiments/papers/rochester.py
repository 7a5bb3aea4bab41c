"""Homework 2 of CSC 266/466 at Rochester, 2023 (R1 to R10)."""

from experiments.papers import Paper, Question

PAPER = Paper(
    key="Rochester",
    title="Homework 2: Recurrent Neural Networks",
    course="CSC 266/466, Frontiers in Deep Learning, University of Rochester, Spring 2023",
    cite="J. Liu. Homework 2: Recurrent Neural Networks. CSC 266/466, University of Rochester, Spring 2023.",
    questions=(
        Question(
            id="R1",
            place="Problem 1",
            question=(
                "Find by hand all weights and the initial state of a recurrent network of three hard-threshold units "
                "that adds two binary numbers, the least significant bits first, with whole numbers from -2 to 2 only."
            ),
            commands=("binary_addition",),
            figures=("census.png",),
            metrics={
                "census": "settings that add",
                "settings": "settings in all",
                "census_u+1": "that add, with u = 1",
                "census_u-1": "that add, with u = -1",
                "census_h0=0": "that add, from a state of zeros",
                "census_unordered": "that add, whatever the order of the units",
                "census_errors": "of these, wrong on a pair of 4-bit numbers",
            },
        ),
        Question(
            id="R2",
            place="Problem 1, the example",
            question=(
                "Which bits go into the network, and which come out, for 100111 + 110010 = 1011001, that is 39 + 50 "
                "= 89? Does it add other numbers rightly too?"
            ),
            commands=("binary_addition",),
            figures=("trace.png",),
            metrics={
                "errors": "wrong sums",
                "errors_8_bits": "wrong sums of up to 8 bits",
                "pairs_8_bits": "pairs of up to 8 bits",
                "errors_256_bits": "wrong sums of 256 bits",
                "pairs_256_bits": "pairs of 256 bits",
            },
        ),
        Question(
            id="R3",
            place="Problem 1, the solution's derivation",
            question=(
                "What does each hidden state of the adding network stand for, what does it hand on to the next step, "
                "and why is the output bit then right?"
            ),
            commands=("binary_addition",),
            figures=("truth_table.png",),
            metrics={
                "cases": "cases of a step: carry and bits",
                "cases_as_printed": "of these, as the paper says",
            },
        ),
        Question(
            id="R4",
            place="Code appendix, verification of Problem 1",
            question=(
                "A program that runs the adding network step by step: how does it verify the weights, and where does "
                "the last carry come from?"
            ),
            commands=("binary_addition",),
            figures=("trace.png",),
            metrics={
                "errors": "wrong sums",
                "steps": "steps of the sum shown",
            },
        ),
        Question(
            id="R5",
            place="Problem 2, Part 1",
            question=(
                "Turn film reviews into a matrix of numbers: no punctuation, an id for each word of a vocabulary, and "
                "400 words in every row, longer reviews cut and shorter ones padded with zeros in front."
            ),
            commands=("imdb_compare", "imdb_gru"),
            metrics={
                "gru_paper_words": "words with an id",
                "gru_paper_mean_length": "mean words in a row",
                "gru_paper_full_rows": "share of rows without padding",
                "gru_paper_padding": "share of padding in the matrix",
            },
        ),
        Question(
            id="R6",
            place="Problem 2, Part 2",
            question=(
                "Build a network of a word embedding, a GRU and a unit that predicts from the last step whether a "
                "review is positive; train it, and report its accuracy on the test reviews."
            ),
            commands=("imdb_compare", "imdb_gru"),
            figures=("curves.png",),
            metrics={
                "gru_paper_test_accuracy": "accuracy on the test reviews",
                "gru_paper_highest_accuracy": "the highest after any epoch",
                "gru_paper_test_loss": "loss on the test reviews",
                "gru_paper_parameters": "parameters",
                "gru_paper_parameters_without_embedding": "parameters without the embedding",
            },
        ),
        Question(
            id="R7",
            place="Problem 2, Part 2, the solution",
            question=(
                "The paper's GRU judges 74.32 % of its test reviews rightly after 20 epochs. What does the same kind "
                "of network come to here, and how far can the two numbers be compared?"
            ),
            commands=("imdb_compare", "imdb_gru"),
            figures=("accuracy.png",),
            metrics={
                "gru_paper_test_accuracy": "accuracy of the GRU, padding read",
                "gru_test_accuracy": "accuracy of the GRU, padding skipped",
            },
        ),
        Question(
            id="R8",
            place="Problem 2, Part 3",
            question=(
                "Train a feedforward network with one hidden layer on the same rows of ids, with about as many "
                "parameters as the GRU has, and report its accuracy on the test reviews."
            ),
            commands=("imdb_compare", "imdb_mlp"),
            figures=("curves.png",),
            metrics={
                "mlp_test_accuracy": "accuracy on the test reviews",
                "mlp_test_loss": "loss on the test reviews",
                "mlp_train_accuracy": "accuracy on the training reviews",
                "mlp_hidden_units": "hidden units",
                "mlp_parameters": "parameters",
                "mlp_matched_parameters": "parameters of the GRU without its embedding",
            },
        ),
        Question(
            id="R9",
            place="Problem 2, Part 3, the comparison",
            question="How does the feedforward network compare with the GRU, and why?",
            commands=("imdb_compare", "imdb_mlp"),
            figures=("accuracy.png",),
            metrics={
                "mlp_test_accuracy": "MLP on the ids",
                "gru_paper_test_accuracy": "GRU, padding read",
                "gru_test_accuracy": "GRU, padding skipped",
                "mlp_flat_test_accuracy": "MLP on all words' vectors",
                "mlp_mean_test_accuracy": "MLP on the mean of the vectors",
            },
        ),
        Question(
            id="R10",
            place="Code appendix of Problem 2",
            question=(
                "With which sizes, optimiser, batches and epochs does the paper's code train the GRU, and what does it "
                "report on the way?"
            ),
            commands=("imdb_compare", "imdb_gru"),
            figures=("curves.png",),
            metrics={
                "gru_paper_test_accuracy": "accuracy on the test reviews",
                "gru_paper_train_loss": "training loss",
                "gru_paper_words": "words with an id",
            },
        ),
    ),
)
