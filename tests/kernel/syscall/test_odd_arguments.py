"""Every call with arguments that make no sense: an answer, never a failed check."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import SYSCALL_NUMBERS
from goanna.kernel.syscall.table import BODIES
from goanna.metal import CheckFailed
from tests.kernel.syscall.bench import Machine

# They end or replace the program or its only thread, or leave it in a place of which no test here comes back.
LEFT_OUT = {
    "clone", "clone3", "execve", "execveat", "exit", "exit_group", "fork", "kill", "pause", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "vfork",
}  # fmt: skip
WAITS = {"nothing is simulated that could stop"}  # what a call that would wait ends in here
TOP = 1 << 64
NUMBERS = [
    0, 1, 2, 3, 4, 7, 8, 16, 64, 100, 4095, 4096, 1 << 20, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) - 1, 1 << 47,
    (1 << 47) - 4096, (1 << 47) - 8, 1 << 62, 1 << 63, (1 << 63) - 1, TOP - 1, TOP - 4, TOP - 8, TOP - 16, TOP - 100,
    TOP - 4095, TOP - 4096, TOP - 8192, 0xFFFF_8000_0000_0000,
]  # fmt: skip
CALLS = sorted(set(BODIES) & set(SYSCALL_NUMBERS) - LEFT_OUT)
PLACES = [0, 8, 4096, (1 << 20) - 8, (1 << 20) - 1]  # in the program's memory, and across its end

arguments = st.one_of(
    st.sampled_from(NUMBERS), st.integers(0, TOP - 1), st.sampled_from(PLACES).map(lambda offset: ("memory", offset))
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.sampled_from(CALLS), st.tuples(*[arguments] * 6)), min_size=1, max_size=60),
       content=st.binary(max_size=64))  # fmt: skip
def test_no_arguments_fail_a_check(steps, content):
    machine = Machine()
    machine.put(content)
    for name, values in steps:
        numbers = [machine.scratch + each[1] if isinstance(each, tuple) else each for each in values]
        try:
            result = machine.number(SYSCALL_NUMBERS[name], *numbers)
        except CheckFailed as failure:
            if failure.reason in WAITS:
                return
            raise
        assert result > -4096 or result < -(1 << 40), (name, result)
