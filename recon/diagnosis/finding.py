"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "limited", "missing"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what that means here."""

    name: str
    status: Status
    found: str
    """Version, size, or what went wrong."""
    affects: str
    """What of ours depends on it."""
    advice: str = ""
    """What to do; empty where all is well, or nothing can be done."""
    required: bool = False
    """Whether nothing works without it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
