"""How the control server's certificate is verified."""

from __future__ import annotations

import ssl

from node.state.preferences import PreferencesError

__all__ = ["trust"]


def trust(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and these, PEM.

    Raises PreferencesError for text that holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities:
        try:
            context.load_verify_locations(cadata=authorities)
        except (ssl.SSLError, ValueError):
            raise PreferencesError("--trust: no certificate in PEM in it") from None
    return context
