"""Runs as they lie on the disk: found, listed, compared, tagged, thrown away."""
