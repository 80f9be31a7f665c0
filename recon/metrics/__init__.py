"""Scores: pure functions of a prediction and the truth, each with its definition in words."""
