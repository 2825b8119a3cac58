"""Sandbox images: content-addressed, and buildable without a registry."""

from muxi_sandbox.docker.images.store import Image, ImageStore

__all__ = ["Image", "ImageStore"]
