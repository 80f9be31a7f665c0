"""Products of small matrices: many, each applied to its own rows; and products that are bfloat16 inside."""
