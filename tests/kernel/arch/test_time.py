"""Dates and rates: the arithmetic behind the clocks."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import clock, date
from goanna.metal import jit

unit = jit(clock.divide_wide, clock.scale, date.days_before)


@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2999, 12, 31)))
def test_days_before_a_date(day):
    assert unit.call(date.days_before, day.year, day.month, day.day) == (day - datetime.date(1970, 1, 1)).days


@given(st.integers(100_000_000, 10_000_000_000))
def test_the_multiplier_of_each_rate_of_a_counter(frequency):
    shift = 64 - clock.SHIFT
    assert unit.call(clock.divide_wide, 10**9, shift, frequency) == (10**9 << shift) // frequency


@given(st.integers(1_000_000, 10_000_000_000), st.integers(0, clock.LONGEST))
def test_a_duration_in_ticks(frequency, duration):
    rate = unit.call(clock.divide_wide, frequency, 32, 10**9)
    assert abs(unit.call(clock.scale, duration, rate) - duration * frequency // 10**9) <= 2
