"""The date: the battery-backed clock of a PC, to a second. A runner that knows better says so in the boot information.

MC146818: registers behind ports 0x70 and 0x71.
"""

from goanna.metal import metal, u8, u64

from .clock import now
from .port import in8, out8

__all__ = ["days_before", "wall_clock"]

INDEX, DATA = 0x70, 0x71
SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, STATUS_A, STATUS_B = 0, 2, 4, 7, 8, 9, 10, 11
UPDATING, BINARY, FULL_DAY, AFTERNOON = 0x80, 4, 2, 0x80
TRIES = 100_000


@metal
def read(register: u8) -> u8:
    """One register."""
    out8(INDEX, register)
    return in8(DATA)


@metal
def decimal(value: u8, binary: bool) -> u64:
    """A register's value, which is in BCD unless the clock says otherwise."""
    return u64(value) if binary else u64(value >> 4) * 10 + u64(value & 15)


@metal
def days_before(year: u64, month: u64, day: u64) -> u64:
    """Days from 1970-01-01 to a date of the Gregorian calendar, year 1970 or later, month 1 to 12, day 1 to 31.

    Years begin in March here, so that the leap day comes last.
    """
    shifted = year if month > 2 else year - 1
    from_march = (month + 9) % 12
    leap_days = shifted // 4 - shifted // 100 + shifted // 400
    return shifted * 365 + leap_days + (from_march * 306 + 5) // 10 + day - 1 - 719468


@metal
def wall_clock() -> u64:
    """Nanoseconds since 1970 at the moment when now() was 0; 0 if there is no clock."""
    for _ in range(TRIES):
        if read(STATUS_A) & UPDATING == 0:
            second, minute, hour = read(SECONDS), read(MINUTES), read(HOURS)
            day, month, year = read(DAY), read(MONTH), read(YEAR)
            if read(STATUS_A) & UPDATING == 0 and read(SECONDS) == second:
                return since_1970(second, minute, hour, day, month, year)
    return 0


@metal
def since_1970(second: u8, minute: u8, hour: u8, day: u8, month: u8, year: u8) -> u64:
    """The registers as nanoseconds, less what has passed since boot."""
    status = read(STATUS_B)
    binary = status & BINARY != 0
    hours = decimal(hour & 0x7F, binary)
    if status & FULL_DAY == 0:
        hours = hours % 12 + (12 if hour & AFTERNOON != 0 else 0)
    months, days = decimal(month, binary), decimal(day, binary)
    if not 1 <= months <= 12 or not 1 <= days <= 31:
        return 0
    date = days_before(2000 + decimal(year, binary), months, days)
    seconds = (date * 24 + hours) * 3600 + decimal(minute, binary) * 60 + decimal(second, binary)
    return seconds * 1_000_000_000 - now()
