"""The questions, declared as data, and what answers them: plan, compiler (both pure) and answerer."""
