"""How datagrams come and go: addresses, what a datagram is, sockets with kernel offloads."""
