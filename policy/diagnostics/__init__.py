"""Findings about policy text: values with stable codes, and the registry that explains them."""
