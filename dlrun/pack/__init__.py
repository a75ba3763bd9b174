"""A run as one file, and back: packed, checked, unpacked."""
