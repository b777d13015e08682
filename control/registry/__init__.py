"""The tailnet in memory: who is in it, under which names and addresses."""
