"""The policy language: HuJSON text in, a typed document and diagnostics out."""
