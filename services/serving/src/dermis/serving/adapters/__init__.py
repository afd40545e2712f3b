"""Adapters that fetch a bundle and run it."""
