"""WireGuard as a machine without sockets or clocks: datagrams and time in, datagrams out."""
