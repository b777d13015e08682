"""Migrations, in order and append-only: an earlier one is never edited."""
