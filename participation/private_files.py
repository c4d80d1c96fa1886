"""Creates files and folders that only the user of this process may read, for events, passwords and personal data."""

import os
import secrets
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
UMASK: Final = 0o077
"""The umask for programs that create files themselves."""


def opener(path: str, flags: int) -> int:
    """Open a file, as the `opener` of `open`. A new file is private."""
    return os.open(path, flags, FILE_MODE)


def make_folder(folder: Path) -> None:
    """Create the folder, and the folders above it, if they do not exist."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def make_file(path: Path) -> None:
    """Create an empty file. Raises `FileExistsError` if it exists."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def write(path: Path, content: bytes) -> None:
    """Create a file with this content, and wait until it is on the disk. Raises `FileExistsError` if it exists."""
    with open(path, "xb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def password(path: Path) -> str:
    """Return the password in the file. If the file does not exist, create it with a new password."""
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        write(unfinished, secrets.token_urlsafe(24).encode())
        unfinished.replace(path)
    return path.read_text()
