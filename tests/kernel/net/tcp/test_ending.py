"""TCP's rules about the end of connections and keep-alive, segment by segment, each named by its section."""

import pytest

from goanna.kernel.base import errno
from tests.kernel.net.tcp.host import ACK, FIN, PSH, RST, State
from tests.kernel.net.tcp.rules import SECOND

# Ending


def test_rfc_9293_3_6_half_closed(stack):
    host = stack()
    host.shut(0)
    assert host.one()["flags"] == FIN | ACK
    host.mine += 1
    host.say()
    assert host.state(0) == State.FIN_WAIT_2.value
    host.hear(b"still talking")
    assert host.read(0) == b"still talking"
    host.say(ACK | FIN)
    host.at += 1
    assert host.got()[-1]["acknowledgment"] == host.at
    assert host.time_waits() == 1


def test_rfc_9293_3_6_both_close_at_once(stack):
    host = stack()
    host.shut(0)
    host.got()
    host.say(ACK | FIN)
    host.at += 1
    assert host.state(0) == State.CLOSING.value
    host.mine += 1
    host.got()
    host.say()
    assert host.time_waits() == 1


def test_text_and_fin_in_one_segment(stack):
    host = stack()
    host.say(ACK | FIN | PSH, b"last words")
    host.let(0.06)
    assert host.one()["acknowledgment"] == host.at + 11
    assert host.read(0) == b"last words" and host.state(0) == State.CLOSE_WAIT.value


def test_a_fin_out_of_order_waits_for_the_text_before_it(stack):
    host = stack()
    host.say(ACK | FIN, b"b", at=1)
    assert host.state(0) == State.ESTABLISHED.value
    host.say(ACK, b"a")
    assert host.state(0) == State.CLOSE_WAIT.value and host.read(0) == b"ab"
    assert host.got()[-1]["acknowledgment"] == host.at + 3


def test_a_fin_alone_out_of_order_waits_too(stack):
    host = stack()
    host.say(ACK | FIN, at=1)
    assert host.state(0) == State.ESTABLISHED.value
    host.say(ACK, b"a")
    assert host.state(0) == State.CLOSE_WAIT.value and host.read(0) == b"a"


def test_rfc_2525_2_17_closing_with_unread_text_resets(stack):
    host = stack()
    host.hear(b"unread")
    host.got()
    host.close(0)
    assert host.one()["flags"] & RST


def test_rfc_1122_4_2_2_13_text_after_close_resets(stack):
    host = stack()
    host.close(0)
    host.got()
    host.mine += 1
    host.say()
    host.say(ACK, b"anybody there?")
    assert host.one()["flags"] & RST
    assert host.gone()


@pytest.mark.slow(61)
def test_fin_wait_2_without_a_program_ends(stack):
    host = stack()
    host.close(0)
    host.got()
    host.mine += 1
    host.say()
    host.let(59)
    assert not host.gone()
    host.let(2)
    assert host.gone()


def test_rfc_9293_3_10_5_abort(stack):
    host = stack()
    host.write(0, b"x" * 100)
    host.got()
    host.close(0, True)
    answer = host.one()
    assert answer["flags"] & RST and (answer["sequence"] - host.mine) % 2**32 == 100


def test_closing_sends_what_was_written(stack):
    host = stack(window=3000)
    host.write(0, b"x" * 5000)
    host.close(0)
    assert sum(length for _, length in host.texts()) <= 3000
    host.say(ack=2920)
    host.say(ack=2920)
    sent = host.got()
    assert sent[-1]["flags"] & FIN and (sent[-1]["sequence"] - host.mine) % 2**32 + len(sent[-1]["text"]) == 5000


# Keep-alive


@pytest.mark.slow(80)
def test_rfc_9293_3_8_4_keep_alive(stack):
    host = stack()
    host.set(1, 10 * SECOND)
    host.let(9)
    host.none()
    host.let(1.1)
    probe = host.one()
    assert (probe["sequence"] - host.mine) % 2**32 == 2**32 - 1 and probe["text"] == b""
    host.say()
    host.let(9.5)
    host.none()
    probes = 0
    for _ in range(60):
        host.let(1)
        probes += len([each for each in host.got() if not each["flags"] & RST])
    assert probes == 3 and (host.state(0), host.error(0)) == (State.CLOSED.value, errno.ETIMEDOUT)


def test_rfc_9293_3_8_4_a_probe_is_answered(stack):
    host = stack()
    host.say(ACK, at=-1)
    assert host.one()["acknowledgment"] == host.at
    host.let(1)
    host.say(ACK, b"x", at=-1)
    assert host.one()["acknowledgment"] == host.at
