"""From the HuJSON tree to the typed document, one module per section."""
