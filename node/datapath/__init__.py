"""The packet path: TUN and UDP with kernel offloads, and the policy on every packet."""
