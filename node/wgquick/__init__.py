"""Plain WireGuard from wg-quick's configuration files."""
