"""The one error that is the user's to mend: a single line that says where, what, and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Raised for anything the user can fix; commands and stages print it as one line and exit 2."""

    def __init__(self, message: str) -> None:
        """Keep `message` as one line."""
        super().__init__(" ".join(message.split()))


class PassingError(UserError):
    """What may pass by itself, a server that restarts, a lock: stages exit 75, flows retry that."""


def nearest(name: str, known: list[str]) -> str:
    """Return ' (did you mean X?)' for the known name closest to `name`, or an empty string."""
    import difflib

    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {match[0]}?)" if match else ""
