"""A run once more, from its stored config, and how the two compare."""
