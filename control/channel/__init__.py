"""The server's end of a control connection: Noise records, the early payload, and HTTP/2."""
