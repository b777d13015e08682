"""4via6: subnets with the same IPv4 addresses at several sites, each under an IPv6 prefix."""
