"""What the host has to be told: addresses, routes, routing rules, forwarding, SNAT."""
