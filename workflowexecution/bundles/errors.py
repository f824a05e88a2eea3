"""What can go wrong with a bundle.

BundleError          the text is for a person, and names the file, the field or the registry
├── NotReadable      a file is no bundle: not there, not YAML, not an object
└── RegistryError    the registry does not take it
"""

from __future__ import annotations


class BundleError(Exception):
    """A bundle cannot be read, packed, signed or pushed; the text says why."""


class NotReadable(BundleError):
    """A file holds no objects."""


class RegistryError(BundleError):
    """A registry refused, or cannot be reached."""
