"""Asking the router for a port: PCP, NAT-PMP and UPnP as bytes and text, without sockets."""
