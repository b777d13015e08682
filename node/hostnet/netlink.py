"""The part of pyroute2 that talks to the kernel's routing tables, without all the rest of it.

`import pyroute2` imports every protocol that it speaks, which takes longer than everything else
that an agent does until it is ready. So the package's own file is left out while the part that is
needed is imported; whoever imports pyroute2 afterwards gets it whole.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

__all__ = ["IPRoute", "NetlinkError"]

_PACKAGE = "pyroute2"
_is_stand_in = False
if _PACKAGE not in sys.modules:
    _spec = find_spec(_PACKAGE)
    if _spec is not None:
        sys.modules[_PACKAGE] = module_from_spec(_spec)
        _is_stand_in = True
try:
    from pyroute2.iproute import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError
finally:
    if _is_stand_in:
        del sys.modules[_PACKAGE]
