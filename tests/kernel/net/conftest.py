"""Scripts of rules are played on two stacks: a rule counts as implemented when its script passes on ours and Linux's.

A script that Linux does not pass says why by `differs`; one that takes long, since time is real there, by `slow`:
GOANNA_RULES=all (`make rules`) plays those too.
"""

import os
import time

import pytest

from tests.kernel.net import linux

ATTEMPTS = 4  # on Linux, whose time is real, and this computer may have others to serve
reason = []


def pytest_configure(config):
    config.addinivalue_line("markers", "differs(why): Linux does something else than this script says")
    config.addinivalue_line("markers", "slow(seconds): the script takes so long on Linux, where time is real")


@pytest.fixture
def makers(request):
    """Gives a function that makes hosts: makers(ours, theirs), by the stack that the script is played on."""
    hosts = []

    def choose(which, ours, theirs):
        if which == "goanna":
            return ours
        if not reason:
            reason.append(linux.why_not())
        if reason[0]:
            pytest.skip(reason[0])
        if mark := request.node.get_closest_marker("differs"):
            pytest.skip(f"Linux differs: {mark.args[0]}")
        mark = request.node.get_closest_marker("slow")
        if mark and os.environ.get("GOANNA_RULES") != "all":
            pytest.skip(f"takes {mark.args[0]} s of real time on Linux: make rules")

        def make(*arguments, **more):
            hosts.append(theirs(*arguments, **more))
            return hosts[-1]

        return make

    yield choose
    for each in hosts:
        each.end()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Try a script on Linux again: what it says of times may have been this computer's fault."""
    if getattr(pyfuncitem, "callspec", None) is None or "linux" not in pyfuncitem.callspec.params.values():
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for attempt in range(ATTEMPTS):
        try:
            pyfuncitem.obj(**arguments)
            return True
        except Exception:  # whatever a script makes of an answer that isn't there yet
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.2 * attempt)
        if "host" in arguments:  # what the fixture had made is used up
            arguments["host"] = pyfuncitem.module.fresh(pyfuncitem._request.getfixturevalue("bare_stack"))
    return None
