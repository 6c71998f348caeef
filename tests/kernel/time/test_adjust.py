"""adjtimex and clock_adjtime, by the answers that a Linux gives whose clock no daemon has ever set right."""

import errno

from goanna.kernel.memory.user import get, get_struct, put
from goanna.kernel.thread.current import current_process
from goanna.kernel.time import adjust_calls
from goanna.kernel.time.clock import CAP_SYS_TIME
from goanna.metal import Array, i64, metal, static, u32, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation

NOWHERE = 0x8000_0000
results = static(Array[i64, 16])
state = static(adjust_calls.Timex)


@metal
def with_modes(modes: u32) -> i64:
    put(USER_PAGE, modes)
    return adjust_calls.sys_adjtimex(USER_PAGE)


@metal
def asks(number: u64) -> None:
    current_process().credentials.effective = 0
    results[0] = with_modes(0)
    get_struct(state, USER_PAGE)
    results[1] = with_modes(0xA001)  # ADJ_OFFSET_SS_READ
    modes, _ = get(u32, USER_PAGE)
    results[2] = i64(modes)
    results[3] = with_modes(0x8000)
    results[4] = with_modes(0x8001)
    results[5] = with_modes(0x4000)
    current_process().credentials.effective = CAP_SYS_TIME
    results[6] = with_modes(0x4000)
    results[7] = adjust_calls.sys_adjtimex(NOWHERE)
    put(USER_PAGE, u32(0))
    results[8] = adjust_calls.sys_clock_adjtime(0, USER_PAGE)
    results[9] = adjust_calls.sys_clock_adjtime(1, USER_PAGE)
    results[10] = adjust_calls.sys_clock_adjtime(11, USER_PAGE)
    results[11] = adjust_calls.sys_clock_adjtime(99, USER_PAGE)
    results[12] = adjust_calls.sys_clock_adjtime(-1, USER_PAGE)
    results[13] = adjust_calls.sys_clock_adjtime(-5, USER_PAGE)


def test_a_clock_that_nobody_disciplines_says_so() -> None:
    machine = Simulation(asks, results, state)
    machine.run(asks, 1)
    assert list(machine.unit.static(results))[:14] == [
        5, 5, 0xA001, -errno.EINVAL, -errno.EPERM, -errno.EPERM, -errno.EOPNOTSUPP, -errno.EFAULT,
        5, -errno.EOPNOTSUPP, -errno.EOPNOTSUPP, -errno.EINVAL, -errno.EOPNOTSUPP, -errno.EINVAL,
    ]  # fmt: skip
    told = machine.unit.static(state)
    assert (told.status, told.most_error, told.estimated_error) == (0x40, 16_000_000, 16_000_000)
    assert (told.tick, told.precision, told.tolerance, told.constant) == (10_000, 1, 32_768_000, 2)
