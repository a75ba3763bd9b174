"""Which pictures a run gets, by its task; as files and in TensorBoard.

Import it when a run is over, not before: matplotlib is slow to import.
"""
