"""Errors of the stack.

StackError
+-- MissingTools     a program or package is not there and cannot be installed
+-- BuildFailed      a Go build ended with an error
+-- NotReady         a process did not become ready in time, or ended
"""


class StackError(Exception):
    """The stack cannot do what was asked; the message says what a person can do about it."""


class MissingTools(StackError):
    """A program or Debian package is missing and may not be installed from here."""


class BuildFailed(StackError):
    """A Go build ended with an error; the message names its log file."""


class NotReady(StackError):
    """A process did not become ready before its deadline, or ended before it was."""
