"""MagicDNS: names of the tailnet, answered by every node for itself."""
