"""From a plan to the answer: read, merge, compare, order, cache."""
