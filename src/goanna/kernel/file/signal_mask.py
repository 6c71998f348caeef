"""The signal mask that ppoll, pselect6 and epoll_pwait wait under, filled in by signal/."""

from goanna.metal import Fn, hook, i64, u64

# Block other signals for the rest of the call: address and size of a sigset. 0, -EINVAL or -EFAULT.
begin_temporary_mask = hook(Fn[[u64, u64], i64])
# The call is over. True: a signal ended it, so the mask stays until its handler has been set up.
end_temporary_mask = hook(Fn[[bool], None])
