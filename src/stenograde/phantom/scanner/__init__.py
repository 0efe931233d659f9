"""Imaging of a phantom: protocols, MR physics, artefacts."""
