"""A whole network on one machine, out of network namespaces, to watch a policy being enforced."""
