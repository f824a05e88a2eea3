"""Tests of whole pieces against the in-process fake cluster, over HTTP and without a real wait."""
