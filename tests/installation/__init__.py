"""The installation page, on a cluster that has nothing yet."""
