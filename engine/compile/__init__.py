"""Policy and directory to packet filters and everything else that a node is told."""
