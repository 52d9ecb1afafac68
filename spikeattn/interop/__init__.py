"""Interop: published checkpoints (and, one file each, other libraries) in our models."""
