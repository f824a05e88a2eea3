"""What changes with a file, by which it shows that it was edited or replaced."""

import os

State = tuple[tuple[int, int, int], ...]


def state(*paths: str | os.PathLike[str]) -> State:
    """What changes with these files, links to them followed.

    Mounted ConfigMaps and Secrets are links into a folder that is replaced as a whole.

    Raises:
        OSError: one of them cannot be looked at.
    """
    found = (os.stat(path) for path in paths)  # noqa: PTH116 - the files may be links
    return tuple((it.st_ino, it.st_mtime_ns, it.st_size) for it in found)
