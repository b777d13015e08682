"""HuJSON, the text form of a policy: JSON with comments and trailing commas, kept byte for byte."""
