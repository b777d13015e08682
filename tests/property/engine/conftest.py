"""Properties here hold whatever the clock says."""

import tests.support.timeless  # noqa: F401  loads the profile
