"""What holds for every test."""

import tests.support.timeless  # noqa: F401  loads the hypothesis profile without deadlines
