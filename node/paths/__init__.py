"""Choosing how to reach each peer: candidates, path machine, netcheck, port mappings, relays."""
