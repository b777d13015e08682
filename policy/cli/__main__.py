"""`python -m policy.cli`, the same as `policy`."""

from __future__ import annotations

import sys

from policy.cli import main

sys.exit(main())
