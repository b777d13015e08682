"""A node's conversation with its control server."""
