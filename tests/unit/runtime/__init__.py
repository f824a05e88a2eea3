"""Unit tests of the generic machinery, one file for each module."""
