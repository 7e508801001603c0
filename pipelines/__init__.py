"""The questions, declared as data, and what answers them: planner, compiler (both pure) and answerer."""
