"""Networks: one nn.Module a file, called with `in_shape` and `out_features`.

Each maps (N, *in_shape) to (N, out_features): logits, or values for regression.
"""
