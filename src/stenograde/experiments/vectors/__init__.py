"""Whole series as vectors: slices through an encoder, kept on disk."""
