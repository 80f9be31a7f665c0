"""Pictures, sounds and films as fields: from a regular grid of values to a network that gives them back."""
