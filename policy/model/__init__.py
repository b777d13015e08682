"""The typed policy document. Parsed once, immutable, no addresses resolved."""
