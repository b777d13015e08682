"""How nodes and people prove who they are."""
