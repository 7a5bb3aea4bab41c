"""Assignment 2 of Deep Learning at the University of Amsterdam, 2018 (U1 to U17)."""

from experiments.papers import Paper, Question

PAPER = Paper(
    key="UVA",
    title="Assignment 2: Recurrent Neural Networks",
    course="Deep Learning, University of Amsterdam, Fall 2018",
    cite="Assignment 2: Recurrent Neural Networks. Deep Learning, University of Amsterdam, September 2018.",
    questions=(
        Question(
            id="U1",
            place="Section 1.1",
            question=(
                "Draw random palindromes, numbers that read the same backwards, as a task for memory: from all digits "
                "but the last a network is to say the last one."
            ),
            commands=("palindromes",),
        ),
        Question(
            id="U2",
            place="Question 1.1",
            question=(
                "Write down the gradients of the last step's loss in the output weights W_ph and in the recurrent "
                "weights W_hh. How do they differ in what they take from earlier steps, and what can go wrong in "
                "training over many steps?"
            ),
            commands=("gradient_flow",),
            figures=("bptt_terms.png", "flow_curves.png", "flow_heatmap.png"),
            metrics=(
                "max_error",
                "second_term_vanishing",
                "second_term_kept",
                "second_term_exploding",
                "elman_flow_start",
                "elman_flow_end",
                "lstm_flow_start",
                "lstm_flow_end",
            ),
        ),
        Question(
            id="U3",
            place="Question 1.2",
            question=(
                "Implement the plain recurrent network from its equations, without ready-made layers, and train it by "
                "RMSProp and automatic differentiation."
            ),
            commands=("palindromes",),
            figures=("curves.png",),
            metrics=("elman_onehot_5_test_accuracy", "elman_onehot_5_solved_at_step"),
        ),
        Question(
            id="U4",
            place="Question 1.3",
            question=(
                "How well does the plain network remember the first digit? Train it on palindromes of 5 digits, where "
                "it should be all but perfect, and on longer and longer ones, and plot accuracy against length."
            ),
            commands=("palindromes",),
            figures=("accuracy.png",),
            metrics=(
                "elman_onehot_5_test_accuracy",
                "elman_onehot_10_test_accuracy",
                "elman_onehot_20_test_accuracy",
                "elman_onehot_30_test_accuracy",
                "elman_onehot_5_last_test_accuracy",
                "elman_onehot_10_last_test_accuracy",
                "elman_onehot_20_last_test_accuracy",
                "elman_onehot_30_last_test_accuracy",
            ),
        ),
        Question(
            id="U5",
            place="Question 1.4",
            question=(
                "What do optimisers such as RMSProp and Adam have over plain gradient descent? What is momentum good "
                "for, and what an adaptive learning rate?"
            ),
            commands=("optimizers",),
            figures=("contours.png", "values.png", "curves.png"),
            metrics=(
                "quadratic_sgd_steps",
                "quadratic_momentum_steps",
                "quadratic_rmsprop_torch_steps",
                "quadratic_adam_steps",
                "sgd_solved_at_step",
                "momentum_solved_at_step",
                "rmsprop_torch_solved_at_step",
                "adam_solved_at_step",
            ),
        ),
        Question(
            id="U6",
            place="Question 1.5 (a)",
            question=(
                "What is each of the LSTM's gates for (input modulation, input, forget and output gate), and why is "
                "the nonlinearity of each a good choice?"
            ),
            commands=("lstm_gates",),
            figures=("gates.png", "gates_over_time.png", "ablation.png"),
            metrics=(
                "i_held_test_accuracy",
                "f_held_test_accuracy",
                "g_held_test_accuracy",
                "o_held_test_accuracy",
                "i_trained_held_test_accuracy",
                "f_trained_held_test_accuracy",
                "g_trained_held_test_accuracy",
                "o_trained_held_test_accuracy",
            ),
        ),
        Question(
            id="U7",
            place="Question 1.5 (b)",
            question=(
                "How many trainable parameters has the LSTM cell with n units that reads sequences of T steps of d "
                "features, in batches of m?"
            ),
            commands=("worked_examples", "mnist_compare"),
            metrics=(
                "lstm_1_cell",
                "lstm_1_with_output",
                "lstm_10_cell",
                "lstm_10_with_output",
                "cells_counted",
                "errors",
            ),
        ),
        Question(
            id="U8",
            place="Question 1.6",
            question=(
                "Implement the LSTM from its equations, and do with it what was done with the plain network: accuracy "
                "against the palindromes' length. How do the two compare, and why?"
            ),
            commands=("palindromes",),
            figures=("accuracy.png", "curves.png"),
            metrics=(
                "lstm_onehot_5_test_accuracy",
                "lstm_onehot_10_test_accuracy",
                "lstm_onehot_20_test_accuracy",
                "lstm_onehot_30_test_accuracy",
                "lstm_onehot_5_solved_at_step",
                "lstm_onehot_10_solved_at_step",
                "lstm_onehot_20_solved_at_step",
                "lstm_onehot_30_solved_at_step",
            ),
        ),
        Question(
            id="U9",
            place="Section 2, Question 2.1",
            question=(
                "An LSTM gets another gate k, which depends on the time alone: over each period tau, shifted by s, it "
                "opens and closes again within the share r_on of the period. Draw it, with the three numbers."
            ),
            commands=("time_gate",),
            figures=("gate.png",),
        ),
        Question(
            id="U10",
            place="Section 2, Question 2.2 (the first one)",
            question=(
                "The time gate mixes the new cell and hidden state with the old ones. What does that do to the updates "
                "of the state, and where might it be of use?"
            ),
            commands=("time_gate",),
            figures=("copying.png", "frequency.png"),
            metrics=(
                "lstm_regular_test_accuracy",
                "time_gated_lstm_regular_test_accuracy",
                "lstm_high_rate_test_accuracy",
                "time_gated_lstm_high_rate_test_accuracy",
                "lstm_asynchronous_test_accuracy",
                "time_gated_lstm_asynchronous_test_accuracy",
                "closed_state_change",
                "closed_slope_error",
            ),
        ),
        Question(
            id="U11",
            place="Section 2, Question 2.2 (the second one)",
            question="What does each of tau, r_on and s stand for, and can it be learned from data?",
            commands=("time_gate",),
            figures=("slopes.png", "periods.png"),
            metrics=(
                "period_error",
                "periods_found",
                "period_mse",
                "closed_gate_gradient",
                "leaking_gate_gradient",
            ),
        ),
        Question(
            id="U12",
            place="Section 3, Question 2.1 (a)",
            question=(
                "Train an LSTM of two layers on sequences of 30 characters from a book, to say at every step which "
                "character comes next; its loss is the mean of the cross-entropy over the steps."
            ),
            commands=("char_lm",),
            figures=("learning_curves.png",),
            metrics=(
                "test_bits_per_character",
                "train_bits_per_character",
                "first_train_bits_per_character",
                "uniform_bits_per_character",
                "test_accuracy",
            ),
        ),
        Question(
            id="U13",
            place="Section 3, Question 2.1 (b)",
            question=(
                "Have the network write 30 characters from a random first one, five times at even distances during "
                "training. What changes from sample to sample?"
            ),
            commands=("char_lm",),
        ),
        Question(
            id="U14",
            place="Section 3, Question 2.1 (c)",
            question=(
                "Besides the likeliest character each time, draw characters at random with a temperature. What do "
                "sentences at temperatures 0.5, 1 and 2 look like?"
            ),
            commands=("char_lm",),
        ),
        Question(
            id="U15",
            place="Section 3, the advice after Question 2.1",
            question=("Save the network from time to time, so that training can be resumed and text be written later."),
            commands=("char_lm",),
        ),
        Question(
            id="U16",
            place="Section 3, Bonus question 2.3",
            question=(
                "Write more than 30 characters: keep the LSTM's hidden and memory state after 30 and begin the next 30 "
                "with them. Have the network finish a sentence such as 'Sleeping beauty is ...'."
            ),
            commands=("char_lm",),
            metrics=("test_bits_per_character", "cut_test_bits_per_character"),
        ),
        Question(
            id="U17",
            place="The assignment's starter code, part1/train.py",
            question=(
                "Between the backward pass and the optimiser's step the code limits the norm of the gradient. What "
                "happens there, and why?"
            ),
            commands=("optimizers",),
            figures=("clipping.png",),
            metrics=(
                "clipped_largest_norm",
                "unclipped_largest_norm",
                "clipped_share_above",
                "unclipped_share_above",
                "clipped_last_loss",
                "unclipped_last_loss",
            ),
        ),
    ),
)
