"""Policy tests: the cases of a policy and of suites, evaluated (policy reference 8)."""
