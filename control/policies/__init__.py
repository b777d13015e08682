"""The policy in force: checking, keeping, and what it lets owners do."""
