"""Numbers as a person reads them: four significant digits, a power of ten where they are extreme, a dash for none."""

from __future__ import annotations

import math
from decimal import Decimal

MISSING = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: object) -> float | int | None:
    """A finite number from JSON as it is; None for anything else (true and false are no numbers)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def readable(value: object, digits: int = 4) -> str:
    """A number: integers whole, others to some significant digits."""
    found = number(value)
    if found is None:
        return MISSING
    if found == 0:
        return "0"
    if isinstance(found, int) and abs(found) < 10**12:
        return f"{found:,}"
    if not 1e-4 <= abs(found) < 1e7:
        return _scientific(found, digits)
    return f"{found:,.{max(0, digits - 1 - math.floor(math.log10(abs(found))))}f}"


def plain(value: object) -> str:
    """Any JSON value in a cell of a table, as it would be typed."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return readable(value)
    if isinstance(value, list):
        items = ["…" if isinstance(item, list | dict) else plain(item) for item in value[:32]]
        return ", ".join([*items, *["…"] * (len(value) > 32)]) or "none"
    return ("…" if value else "none") if isinstance(value, dict) else str(value)


def percent(share: object) -> str:
    """A share of 1 in per cent, to two digits where it is small."""
    found = number(share)
    if found is None or abs(found) > 1e6:
        return MISSING
    return "0 %" if found == 0 else f"{readable(100 * found, 3 if abs(found) >= 0.1 else 2)} %"


def duration(seconds: object) -> str:
    """Seconds with one decimal below a minute, then minutes or hours."""
    found = number(seconds)
    if found is None or found < 0:
        return MISSING
    if found < 59.95:
        return f"{found:.1f} s"
    whole = round(found)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def size(count: object) -> str:
    """Bytes in binary units."""
    found = number(count)
    if found is None or not 0 <= found < 2**70:
        return MISSING
    if found < 1024:
        return f"{found:,} bytes"
    power = min(3, int(math.log(found, 1024)))
    return f"{readable(found / 1024**power, 3)} {('KiB', 'MiB', 'GiB')[power - 1]}"


def _scientific(value: float | int, digits: int) -> str:
    # Decimal takes integers of any length, where a float would overflow.
    mantissa, power = f"{Decimal(value):.{digits - 1}e}".split("e")
    return f"{mantissa}×10{str(int(power)).translate(_RAISED)}"
