"""Bytes through TCP sockets: send and receive (Linux tcp_sendmsg, tcp_recvmsg)."""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EAGAIN, EFAULT, EINVAL, ENOBUFS, ENOTCONN, EOPNOTSUPP, EPIPE
from goanna.kernel.file.pipe import on_broken_pipe
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.net.inet.stream_socket import Phase, StreamSocket, conclude, of, shut_of
from goanna.kernel.net.packet import (
    BUFFER,
    BUFFER_ROOM,
    CHUNK,
    CHUNK_ROOM,
    HEADROOM,
    SHORT,
    Packet,
    allocate,
    allocate_for_program,
    drop,
)
from goanna.kernel.net.socket.message import (
    MSG_ERRQUEUE,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    Message,
)
from goanna.kernel.net.socket.socket import SHUT_READ, SHUT_WRITE, Socket, sleep_on
from goanna.kernel.net.tcp import calls
from goanna.kernel.net.tcp.connection import Connection, State
from goanna.kernel.net.tcp.receive import after_reading, put_back, take_received
from goanna.kernel.net.tcp.timers import arm, settle
from goanna.metal import Ptr, i64, likely, metal, u32, u64

SMALL = BUFFER_ROOM - HEADROOM  # bytes that one BUFFER holds


@metal
def send(socket: Socket, message: Message) -> i64:
    """Send all, waiting for room as often as needed: the bytes sent, or an errno if there were none."""
    self = of(socket)
    if message.has(MSG_OOB | MSG_FASTOPEN):
        return -EOPNOTSUPP
    until = socket.send_deadline(message.nonblocking())
    transfer: Transfer = message.transfer
    done: i64 = 0
    waiting = False  # the last part waits for more
    error = wait_open(self, until)
    while error == 0 and transfer.left != 0:
        room = wait_for_room(self, until, waiting)
        if room == 0:
            push(self)
            waiting = False
            continue
        if room < 0:
            error = room
            break
        before = transfer.left
        error = send_part(self, transfer, u64(room), message.has(MSG_MORE))
        waiting = transfer.left != 0
        done += i64(before - transfer.left) if error == 0 else 0
    if waiting and done != 0:
        push(self)
    if done != 0:
        return done
    if error == -EPIPE and not message.has(MSG_NOSIGNAL):
        on_broken_pipe()
    return error


@metal
def wait_open(self: StreamSocket, until: u64) -> i64:
    """Wait for the handshake. 0, or why nothing can be sent."""
    socket = self.socket
    c: Connection = self.connection
    with c.lock:
        while True:
            if socket.error != 0:
                return socket.take_error()
            if shut_of(self) & SHUT_WRITE != 0:
                return -EPIPE
            if likely(c.state in (State.ESTABLISHED, State.CLOSE_WAIT)):
                return 0
            if c.state not in (State.SYN_SENT, State.SYN_RECEIVED):
                return -EPIPE
            error = sleep_on(socket.writers, c.lock, until)
            if error < 0:
                return error


@metal
def wait_for_room(self: StreamSocket, until: u64, waiting: bool) -> i64:
    """Wait until the send buffer has room: bytes of memory, or an errno. 0: what is `waiting` there is to be sent
    first."""
    socket = self.socket
    c: Connection = self.connection
    with c.lock:
        while True:
            if socket.error != 0:
                return socket.take_error()
            if shut_of(self) & SHUT_WRITE != 0 or c.fin_wanted:
                return -EPIPE
            room = calls.writable(c)
            if likely(room != 0 or waiting):
                return i64(room)
            self.no_space = True
            error = sleep_on(socket.writers, c.lock, until)
            if error < 0:
                return error


@metal
def send_part(self: StreamSocket, transfer: Transfer, room: u64, more: bool) -> i64:
    """Queue as many bytes as one buffer holds; unless they are the last, only whole segments of them go out. 0 or an
    errno."""
    c: Connection = self.connection
    packet: Ptr[Packet] = None
    if transfer.left > SMALL and room >= CHUNK_ROOM:
        packet = allocate_for_program(CHUNK, HEADROOM)
    if packet is None:
        packet = allocate_for_program(BUFFER, HEADROOM)
        if packet is None:  # few bytes at a time are better than none
            packet = allocate(SHORT, HEADROOM)
        if packet is None:
            return -ENOBUFS
    count = min(transfer.left, u64(packet.room()))
    came = transfer.take(packet.extend(u32(count)))
    if came == 0:
        drop(packet)
        return -EFAULT
    packet.trim(u32(came))
    c.lock.acquire()
    time = c.moment(now())
    held = c.corked
    c.corked = held or more or transfer.left != 0
    sent = calls.write(c, packet, time)
    c.corked = held
    conclude(c, time)
    return 0 if sent else i64(-EPIPE)


@metal
def push(self: StreamSocket) -> None:
    """Send what waits for more that did not come."""
    c: Connection = self.connection
    c.lock.acquire()
    time = c.moment(now())
    settle(c, time)
    conclude(c, time)


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for bytes, and give what is there: how many, 0 at the end, or an errno."""
    self = of(socket)
    if self.phase == Phase.LISTENING:
        return -ENOTCONN
    if message.has(MSG_ERRQUEUE):
        return -EAGAIN
    if message.has(MSG_OOB):
        return -EINVAL
    left = message.transfer.left
    target = max(left if message.has(MSG_WAITALL) else min(u64(socket.low_water), left), 1)
    until = socket.receive_deadline(message.nonblocking())
    peeking = message.has(MSG_PEEK)
    done: u64 = 0
    error: i64 = 0
    while True:
        with self.reading:
            count, error = read_some(self, message, done if peeking else u64(0), left)
        done += count
        left -= count
        if error < 0 or done >= target:
            break
        error = wait_for_bytes(self, until, done if peeking else u64(0), done != 0)
        if error <= 0 or left == 0:
            break
    return i64(done) if done != 0 else min(error, 0)


@metal
def wait_for_bytes(self: StreamSocket, until: u64, known: u64, some: bool) -> i64:
    """Wait until there are more than `known` bytes to read: 1; 0 at the end; or an errno, which stays for the next call
    if there are some bytes already."""
    socket = self.socket
    c: Connection = self.connection
    with c.lock:
        while True:
            if u64(c.received_bytes) > known:
                return 1
            if socket.error != 0:
                return 0 if some else socket.take_error()
            if shut_of(self) & SHUT_READ != 0:
                return 0
            if c.state == State.CLOSED:
                return -ENOTCONN
            error = sleep_on(socket.readers, c.lock, until)
            if error < 0:
                return error


@metal
def first_packet(c: Connection) -> tuple[Ptr[Packet], u64]:
    """The first packet to read, which stays while `reading` is held, and its bytes: more may be put behind them."""
    with c.lock:
        packet = c.received.head()
        return packet, u64(packet.total if packet is not None else u32(0))


@metal
def packet_after(c: Connection, packet: Packet) -> tuple[Ptr[Packet], u64]:
    """The packet behind another one."""
    with c.lock:
        following = c.received.after(packet)
        return following, u64(following.total if following is not None else u32(0))


@metal
def read_some(self: StreamSocket, message: Message, skipped: u64, most: u64) -> tuple[u64, i64]:
    """Give what is there behind `skipped` bytes, up to `most`: how many, and 0 or -EFAULT. With `reading`."""
    c: Connection = self.connection
    done: u64 = 0
    error: i64 = 0
    packet, size = first_packet(c)
    while packet is not None and done < most:
        if skipped >= size:
            skipped -= size
        else:
            wanted = min(size - skipped, most - done)
            copied = wanted
            if not message.has(MSG_TRUNC):
                copied = copy_part(packet, skipped, wanted, message.transfer)
            done += copied
            skipped = 0
            if copied < wanted:
                error = -EFAULT
                break
            if done == most:
                break
        packet, size = packet_after(c, packet)
    if done != 0 and not message.has(MSG_PEEK):
        consume(c, u32(done))
    return done, error


@metal
def copy_part(packet: Packet, offset: u64, count: u64, transfer: Transfer) -> u64:
    """Copy `count` bytes of a packet from an offset on; how many went before user memory faulted."""
    done: u64 = 0
    each = packet
    while True:
        size = u64(each.length)
        if offset >= size:
            offset -= size
        else:
            part = min(size - offset, count - done)
            copied = transfer.put(each.bytes()[offset : offset + part])
            done += copied
            if copied < part or done == count:
                return done
            offset = 0
        each = each.more


@metal
def consume(c: Connection, count: u32) -> None:
    """Take what was read off the queue, and tell the other side of the room."""
    c.lock.acquire()
    time = c.moment(now())
    while count != 0:
        packet: Packet = take_received(c)
        if packet.total <= count:
            count -= packet.total
            drop(packet)
        else:
            rest = packet.skip(count)
            count = 0
            if rest is not None:
                put_back(c, rest)
    after_reading(c, time)
    arm(c, time)
    conclude(c, time)
