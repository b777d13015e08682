"""DERP relay and STUN: carry what cannot go direct, see no plaintext."""
