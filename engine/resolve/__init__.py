"""What selectors stand for on one tailnet (policy reference 3)."""
