"""Models of a store: a training cohort, a bundle fitted on it, a backbone tuned on it, cases scored."""
