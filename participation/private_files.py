"""Files and folders that only the account of this process may read: they hold events, passwords or personal data."""

import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
UMASK: Final = 0o077
"""For programs that make files themselves."""


def opener(path: str, flags: int) -> int:
    """Open for `open(…, opener=…)`: a file that is made is private."""
    return os.open(path, flags, FILE_MODE)


def make_folder(folder: Path) -> None:
    """Make the folder, and the folders above it, where they are missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def make_file(path: Path) -> None:
    """Make an empty file. Raises `FileExistsError` if it exists."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def write(path: Path, content: bytes) -> None:
    """Make a file with this content; when this returns, it is on the disk. Raises `FileExistsError` if it exists."""
    with open(path, "xb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
