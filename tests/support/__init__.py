"""What several suites share: the program as a user starts it, and kubectl."""
