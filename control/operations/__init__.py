"""What operators do, whoever asks: REST API, command line or login page."""
