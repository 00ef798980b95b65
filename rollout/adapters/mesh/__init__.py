"""Drivers of meshes, one package each."""
