"""Path discovery messages: sealed between two nodes' disco keys, carried by UDP or a relay."""
