"""Connections to DERP relays: which relay of a region, when to dial, what goes through."""
