"""Makes a uniform function of every call's body: registers in, one result out.

A body is an ordinary metal function, `sys_read(descriptor: i32, buffer: u64, count: u64) -> i64`. Linux looks only at
as many bits of a register as the parameter's type has, so each argument is wrapped, never checked. A body whose first
parameter is the Frame is handed all user registers (clone, rt_sigreturn, execve).
"""

from functools import cache

from goanna.kernel.arch import Frame
from goanna.metal import Fn, MetalFunction, i64, metal, u64

CallBody = Fn[[Frame], i64]

MAXIMUM_ARGUMENTS = 6


@cache
def adapt(body: MetalFunction) -> MetalFunction:
    """The Fn[[Frame], i64] that calls `body`. Raises TypeError for a signature that no system call can have."""
    parameters, result = body.signature()
    types = [each for _, each in parameters]
    with_frame = bool(types) and types[0] is Frame
    if with_frame:
        types.pop(0)
    if len(types) > MAXIMUM_ARGUMENTS or result is not i64 or not all(hasattr(each, "wrap") for each in types):
        raise TypeError(f"{body!r} is no system call: up to six integers and an i64 result are")
    count = len(types)
    a, b, c, d, e, f = types + [u64] * (MAXIMUM_ARGUMENTS - count)
    made = _with_frame(body, count, a, b, c, d, e) if with_frame else _plain(body, count, a, b, c, d, e, f)
    made.module = body.module  # they are compiled together, into one function as a rule
    return made


def _plain(body, count, A, B, C, D, E, F):
    @metal
    def call(frame: Frame) -> i64:
        if count == 0:
            return body()
        elif count == 1:
            return body(A.wrap(frame.argument(0)))
        elif count == 2:
            return body(A.wrap(frame.argument(0)), B.wrap(frame.argument(1)))
        elif count == 3:
            return body(A.wrap(frame.argument(0)), B.wrap(frame.argument(1)), C.wrap(frame.argument(2)))
        elif count == 4:
            return body(
                A.wrap(frame.argument(0)),
                B.wrap(frame.argument(1)),
                C.wrap(frame.argument(2)),
                D.wrap(frame.argument(3)),
            )
        elif count == 5:
            return body(
                A.wrap(frame.argument(0)),
                B.wrap(frame.argument(1)),
                C.wrap(frame.argument(2)),
                D.wrap(frame.argument(3)),
                E.wrap(frame.argument(4)),
            )
        else:
            return body(
                A.wrap(frame.argument(0)),
                B.wrap(frame.argument(1)),
                C.wrap(frame.argument(2)),
                D.wrap(frame.argument(3)),
                E.wrap(frame.argument(4)),
                F.wrap(frame.argument(5)),
            )

    return call


def _with_frame(body, count, A, B, C, D, E):
    @metal
    def call(frame: Frame) -> i64:
        if count == 0:
            return body(frame)
        elif count == 1:
            return body(frame, A.wrap(frame.argument(0)))
        elif count == 2:
            return body(frame, A.wrap(frame.argument(0)), B.wrap(frame.argument(1)))
        elif count == 3:
            return body(frame, A.wrap(frame.argument(0)), B.wrap(frame.argument(1)), C.wrap(frame.argument(2)))
        elif count == 4:
            return body(
                frame,
                A.wrap(frame.argument(0)),
                B.wrap(frame.argument(1)),
                C.wrap(frame.argument(2)),
                D.wrap(frame.argument(3)),
            )
        else:
            return body(
                frame,
                A.wrap(frame.argument(0)),
                B.wrap(frame.argument(1)),
                C.wrap(frame.argument(2)),
                D.wrap(frame.argument(3)),
                E.wrap(frame.argument(4)),
            )

    return call
