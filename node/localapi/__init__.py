"""The local API: HTTP on a Unix socket that only root may open."""
