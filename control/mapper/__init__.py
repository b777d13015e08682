"""Netmaps: what each connected node is told, and told of changes only."""
