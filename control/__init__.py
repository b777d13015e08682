"""The coordination server and the wire contracts that it owns."""
