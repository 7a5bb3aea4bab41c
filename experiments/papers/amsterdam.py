"""Assignment 2 of Deep Learning at the University of Amsterdam, 2018 (U1 to U17)."""

from experiments.papers import Paper, Question

PAPER = Paper(
    key="Amsterdam",
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
            metrics={
                "held_out_5": "different palindromes that are never trained on, T = 5",
                "held_out_10": "different palindromes that are never trained on, T = 10",
                "held_out_20": "different palindromes that are never trained on, T = 20",
                "held_out_30": "different palindromes that are never trained on, T = 30",
            },
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
            metrics={
                "bptt_error": "closed forms against automatic differentiation: largest difference",
                "second_term_vanishing": "term of step 2 over the last one's, spectral radius 0.5",
                "second_term_kept": "term of step 2 over the last one's, spectral radius 1",
                "second_term_exploding": "term of step 2 over the last one's, spectral radius 2",
                "elman_flow_start": "|dL/dh_1| / |dL/dh_T|, Elman, before training",
                "elman_flow_end": "|dL/dh_1| / |dL/dh_T|, Elman, after training",
                "lstm_flow_start": "|dL/dh_1| / |dL/dh_T|, LSTM, before training",
                "lstm_flow_end": "|dL/dh_1| / |dL/dh_T|, LSTM, after training",
            },
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
            metrics={
                "elman_onehot_5_test_accuracy": "test accuracy at T = 5",
                "elman_onehot_5_solved_at_step": "step at which T = 5 was solved",
            },
        ),
        Question(
            id="U4",
            place="Question 1.3",
            question=(
                "How well does the plain network remember the first digit? Train it until convergence on palindromes "
                "of 5 digits, where it should be all but perfect, and on longer and longer ones, and plot accuracy "
                "against length."
            ),
            commands=("palindromes",),
            figures=("accuracy.png",),
            metrics={
                "elman_onehot_5_test_accuracy": "test accuracy at T = 5, best checkpoint",
                "elman_onehot_10_test_accuracy": "test accuracy at T = 10, best checkpoint",
                "elman_onehot_20_test_accuracy": "test accuracy at T = 20, best checkpoint",
                "elman_onehot_30_test_accuracy": "test accuracy at T = 30, best checkpoint",
                "elman_onehot_5_last_test_accuracy": "test accuracy at T = 5, last step",
                "elman_onehot_10_last_test_accuracy": "test accuracy at T = 10, last step",
                "elman_onehot_20_last_test_accuracy": "test accuracy at T = 20, last step",
                "elman_onehot_30_last_test_accuracy": "test accuracy at T = 30, last step",
            },
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
            metrics={
                "quadratic_sgd_steps": "steps down the bowl, SGD",
                "quadratic_momentum_steps": "steps down the bowl, momentum",
                "quadratic_rmsprop_torch_steps": "steps down the bowl, RMSProp",
                "quadratic_adam_steps": "steps down the bowl, Adam",
                "sgd_solved_at_step": "step at which palindromes were solved, SGD",
                "momentum_solved_at_step": "step at which palindromes were solved, momentum",
                "rmsprop_torch_solved_at_step": "step at which palindromes were solved, RMSProp",
                "adam_solved_at_step": "step at which palindromes were solved, Adam",
            },
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
            metrics={
                "intact_test_accuracy": "accuracy, no gate held",
                "i_held_test_accuracy": "accuracy, i held at 1 in a trained network",
                "f_held_test_accuracy": "accuracy, f held at 1 in a trained network",
                "g_held_test_accuracy": "accuracy, g held at 1 in a trained network",
                "o_held_test_accuracy": "accuracy, o held at 1 in a trained network",
                "intact_solved_at_step": "step at which the median run solved it, no gate held",
                "f_trained_held_solved_at_step": "step at which the median run solved it, trained with f held at 1",
                "g_trained_held_solved_at_step": "step at which the median run solved it, trained with g held at 1",
            },
        ),
        Question(
            id="U7",
            place="Question 1.5 (b)",
            question=(
                "How many trainable parameters has the LSTM cell with n units that reads sequences of T steps of d "
                "features, in batches of m?"
            ),
            commands=("worked_examples", "mnist_compare"),
            metrics={
                "lstm_1_cell": "parameters of the cell, n = 128, d = 1",
                "lstm_1_with_output": "parameters with the output map, n = 128, d = 1, K = 10",
                "lstm_10_cell": "parameters of the cell, n = 128, d = 10",
                "lstm_10_with_output": "parameters with the output map, n = 128, d = 10, K = 10",
                "cells_counted": "cells that were made and counted",
                "errors": "cells that have another number of parameters than by the formula",
            },
        ),
        Question(
            id="U8",
            place="Question 1.6",
            question=(
                "Implement the LSTM from its equations, and do with it what was done with the plain network, until "
                "convergence: accuracy against the palindromes' length, to which the learning rate may need adjusting. "
                "How do the two compare, and why?"
            ),
            commands=("palindromes",),
            figures=("accuracy.png", "curves.png"),
            metrics={
                "lstm_onehot_5_test_accuracy": "test accuracy at T = 5",
                "lstm_onehot_10_test_accuracy": "test accuracy at T = 10",
                "lstm_onehot_20_test_accuracy": "test accuracy at T = 20",
                "lstm_onehot_30_test_accuracy": "test accuracy at T = 30",
                "lstm_onehot_5_solved_at_step": "step at which T = 5 was solved",
                "lstm_onehot_10_solved_at_step": "step at which T = 10 was solved",
                "lstm_onehot_20_solved_at_step": "step at which T = 20 was solved",
                "lstm_onehot_30_solved_at_step": "step at which T = 30 was solved",
            },
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
            metrics={
                "lstm_regular_test_accuracy": "test accuracy, LSTM, sampled regularly",
                "time_gated_lstm_regular_test_accuracy": "test accuracy, time-gated LSTM, sampled regularly",
                "lstm_high_rate_test_accuracy": "test accuracy, LSTM, sampled more often",
                "time_gated_lstm_high_rate_test_accuracy": "test accuracy, time-gated LSTM, sampled more often",
                "lstm_asynchronous_test_accuracy": "test accuracy, LSTM, sampled at random times",
                "time_gated_lstm_asynchronous_test_accuracy": "test accuracy, time-gated LSTM, sampled at random times",
                "closed_state_change": "largest change of c or h in a step with k = 0",
                "closed_slope_error": "largest difference of dc(t)/dc(t-1) from the identity in a step with k = 0",
            },
        ),
        Question(
            id="U11",
            place="Section 2, Question 2.2 (the second one)",
            question="What does each of tau, r_on and s stand for, and can it be learned from data?",
            commands=("time_gate",),
            figures=("slopes.png", "periods.png"),
            metrics={
                "period_error": "distance of the found period from the hidden one",
                "periods_found": "networks that found it, within 2%",
                "period_mse": "mean squared error of their predictions",
                "closed_gate_gradient": "largest gradient of a closed gate",
                "leaking_gate_gradient": "largest gradient of a closed gate that leaks, as in training",
            },
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
            metrics={
                "test_bits_per_character": "bits per character, held out, at the end",
                "lowest_test_bits_per_character": "bits per character, held out, at their lowest",
                "lowest_test_at_step": "step at which they were lowest",
                "train_bits_per_character": "bits per character, in training, at the end",
                "first_train_bits_per_character": "bits per character, in training, at the beginning",
                "uniform_bits_per_character": "bits per character, were all equally likely",
                "test_accuracy": "held-out characters that are told right",
            },
        ),
        Question(
            id="U13",
            place="Section 3, Question 2.1 (b)",
            question=(
                "Have the network write 30 characters from a random first one, five times at even distances during "
                "training. What changes from sample to sample?"
            ),
            commands=("char_lm",),
            metrics={
                "first_sample_known_share": "words that occur in the book, in the first sample's texts",
                "last_sample_known_share": "words that occur in the book, in the last sample's texts",
            },
        ),
        Question(
            id="U14",
            place="Section 3, Question 2.1 (c)",
            question=(
                "Besides the likeliest character each time, draw characters at random with a temperature. What do "
                "sentences at temperatures 0.5, 1 and 2 look like?"
            ),
            commands=("char_lm",),
            metrics={
                "greedy_distinct_share": "four-character sequences that are distinct, greedy",
                "0.5_distinct_share": "four-character sequences that are distinct, temperature 0.5",
                "1_distinct_share": "four-character sequences that are distinct, temperature 1",
                "2_distinct_share": "four-character sequences that are distinct, temperature 2",
                "greedy_known_share": "words that occur in the book, greedy",
                "0.5_known_share": "words that occur in the book, temperature 0.5",
                "1_known_share": "words that occur in the book, temperature 1",
                "2_known_share": "words that occur in the book, temperature 2",
            },
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
            metrics={
                "test_bits_per_character": "bits per character, held out, the states going on",
                "cut_test_bits_per_character": "bits per character, held out, the states forgotten after every piece",
            },
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
            metrics={
                "unclipped_largest_norm": "largest norm of the gradient without clipping",
                "clipped_largest_norm": "largest norm of the gradient before it is clipped",
                "unclipped_share_above": "steps with a norm above the limit, without clipping",
                "clipped_share_above": "steps with a norm above the limit, with clipping",
                "unclipped_last_loss": "loss over the last tenth of the steps, without clipping",
                "clipped_last_loss": "loss over the last tenth of the steps, with clipping",
            },
        ),
    ),
)
