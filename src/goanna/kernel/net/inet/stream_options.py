"""Options of TCP sockets (tcp(7)), and how new connections come by those of their socket."""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EINVAL, ENOENT, ENOPROTOOPT
from goanna.kernel.net.inet.ip_options import bind_to_device, get_ip_option, set_ip_option
from goanna.kernel.net.inet.stream_socket import Phase, StreamSocket, conclude, of
from goanna.kernel.net.inet.values import number_of
from goanna.kernel.net.network import MILLISECOND, SECOND
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import Socket
from goanna.kernel.net.tcp import calls
from goanna.kernel.net.tcp.connection import (
    DEFAULT_MSS4,
    MOST_RECEIVE_LIMIT,
    MOST_SEND_LIMIT,
    WRITABLE,
    Connection,
    State,
)
from goanna.kernel.net.tcp.sequence import less
from goanna.kernel.net.tcp.timers import settle
from goanna.metal import Slice, fill, i64, metal, sizeof, struct, u8, u32, u64, unsafe

MOST_KEEP, MOST_PROBES = 32767, 127  # seconds; probes
LONGEST_FIN = 120  # seconds: TCP_FIN_TIMEOUT_MAX
QUICK = 16  # segments that are acknowledged at once
LARGEST_LIMIT = 1 << 30


@metal
def inherit(c: Connection, old: Connection) -> None:
    """Give a new connection the options of another one."""
    c.no_delay = old.no_delay
    c.corked = old.corked
    c.keep_alive = old.keep_alive
    c.keep_idle = old.keep_idle
    c.keep_interval = old.keep_interval
    c.keep_count = old.keep_count
    c.user_timeout = old.user_timeout
    c.fin_timeout = old.fin_timeout


@metal
def take_options(self: StreamSocket, c: Connection) -> None:
    """Set what IP is to do, and what the socket's buffers were set to; else they grow by themselves."""
    socket = self.socket
    take_wishes(self, c)
    c.send_limit, c.send_most = self.connection.send_limit, self.connection.send_most
    if c.send_most == MOST_SEND_LIMIT:
        c.send_limit = min(c.send_limit, u32(MOST_SEND_LIMIT))
    if self.connection.receive_most != MOST_RECEIVE_LIMIT:
        c.receive_limit = min(socket.receive_limit, u32(LARGEST_LIMIT))
        c.receive_most = c.receive_limit


@metal
def changed(socket: Socket, name: u32) -> None:
    """An option of SOL_SOCKET is another."""
    self = of(socket)
    c: Connection = self.connection
    c.lock.acquire()
    time = c.moment(now())
    match name:
        case so.SO_SNDBUF:
            c.send_limit = min(socket.send_limit, u32(LARGEST_LIMIT))
            c.send_most = c.send_limit
            c.events |= WRITABLE
        case so.SO_RCVBUF:
            c.receive_limit = min(socket.receive_limit, u32(LARGEST_LIMIT))
            c.receive_most = c.receive_limit
        case so.SO_REUSEADDR:
            self.listener.binding.reuse_address = socket.has(name)
            c.entry.reuse_address = socket.has(name)
        case so.SO_REUSEPORT:
            self.listener.binding.reuse_port = socket.has(name)
            c.entry.reuse_port = socket.has(name)
        case so.SO_KEEPALIVE:
            calls.set_keep_alive(c, socket.has(so.SO_KEEPALIVE), time)
        case _:
            pass
    conclude(c, time)


@metal
def set_tcp_option(socket: Socket, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of IPPROTO_TCP. 0 or an errno."""
    if name == so.TCP_CONGESTION:
        return choose_congestion(data)
    value, error = number_of(data)
    if error < 0:
        return error
    self = of(socket)
    c: Connection = self.connection
    c.lock.acquire()
    time = c.moment(now())
    result = set_locked(c, name, value, time)
    if result == 0:
        settle(c, time)
    conclude(c, time)
    return result


@metal
def choose_congestion(data: Slice[u8]) -> i64:
    """TCP_CONGESTION: there is CUBIC (RFC 9438)."""
    if len(data) >= 5 and data[0:5] == b"cubic" and (len(data) == 5 or data[5] == 0):
        return 0
    return -EINVAL if len(data) == 0 else i64(-ENOENT)


@metal
def within(value: i64, most: i64) -> bool:
    """Whether it is from 1 to a limit."""
    return 1 <= value <= most


@metal
def set_locked(c: Connection, name: u32, value: i64, time: u64) -> i64:
    """Set a number, with the connection's lock. 0 or an errno."""
    match name:
        case so.TCP_NODELAY:
            c.no_delay = value != 0
        case so.TCP_CORK:
            c.corked = value != 0
        case so.TCP_KEEPIDLE:
            if not within(value, MOST_KEEP):
                return -EINVAL
            c.keep_idle = u64(value) * SECOND
            calls.set_keep_alive(c, c.keep_alive, time)
        case so.TCP_KEEPINTVL:
            if not within(value, MOST_KEEP):
                return -EINVAL
            c.keep_interval = u64(value) * SECOND
        case so.TCP_KEEPCNT:
            if not within(value, MOST_PROBES):
                return -EINVAL
            c.keep_count = u32(value)
        case so.TCP_LINGER2:
            c.fin_timeout = u64(min(max(value, 0), LONGEST_FIN)) * SECOND
        case so.TCP_QUICKACK:
            c.quick = QUICK if value != 0 else 0
        case so.TCP_USER_TIMEOUT:
            if value < 0:
                return -EINVAL
            c.user_timeout = u64(value) * MILLISECOND
        case _:
            return -ENOPROTOOPT
    return 0


@metal
def get_tcp_option(socket: Socket, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of IPPROTO_TCP: the value's length, or an errno."""
    self = of(socket)
    c: Connection = self.connection
    value: u64 = 0
    match name:
        case so.TCP_NODELAY:
            value = u64(c.no_delay)
        case so.TCP_MAXSEG:
            value = u64(c.mss if c.mss != 0 else u32(DEFAULT_MSS4))
        case so.TCP_CORK:
            value = u64(c.corked)
        case so.TCP_KEEPIDLE:
            value = c.keep_idle // SECOND
        case so.TCP_KEEPINTVL:
            value = c.keep_interval // SECOND
        case so.TCP_KEEPCNT:
            value = u64(c.keep_count)
        case so.TCP_LINGER2:
            value = c.fin_timeout // SECOND
        case so.TCP_QUICKACK:
            value = u64(c.quick != 0)
        case so.TCP_USER_TIMEOUT:
            value = c.user_timeout // MILLISECOND
        case so.TCP_CONGESTION:
            fill(data[0:16], 0)
            data[0:5] = b"cubic"
            return 16
        case so.TCP_INFO:
            return tell_info(self, data)
        case _:
            return -ENOPROTOOPT
    put_number(data, value)
    return 4


@metal
def set_stream_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of IP's levels, and SO_BINDTODEVICE. 0 or an errno."""
    self = of(socket)
    wishes = self.wishes
    error: i64 = 0
    with self.changing:
        if level == so.SOL_SOCKET:
            if name != so.SO_BINDTODEVICE:
                return -ENOPROTOOPT
            index, error = bind_to_device(data)
            if error == 0:
                wishes.bound = index
            return error
        if level == so.IPPROTO_IPV6 and name == so.IPV6_V6ONLY and socket.family == so.AF_INET6:
            value, error = number_of(data)
            if error == 0 and (self.listener.binding.port != 0 or self.phase != Phase.OPEN):
                error = -EINVAL
            if error == 0:
                wishes.only6 = value != 0
            return error
        error = set_ip_option(wishes, socket.family, level, name, data)
        if error == 0:
            c: Connection = self.connection
            with c.lock:
                take_wishes(self, c)
                c.path.generation = 0
    return error


@metal
def take_wishes(self: StreamSocket, c: Connection) -> None:
    """Send as the options say."""
    c.path.hops = self.wishes.hops
    c.path.traffic = self.wishes.traffic


@metal
def get_stream_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of IP's levels: the value's length, or an errno."""
    self = of(socket)
    c: Connection = self.connection
    return get_ip_option(self.wishes, c.path, socket.family, level, name, data)


@struct
class Info:
    """struct tcp_info, as far as Linux 2.6 had it."""

    state: u8
    congestion_state: u8
    retransmits: u8
    probes: u8
    backoff: u8
    options: u8
    scales: u8  # the other side's in the low four bits
    flags: u8
    rto: u32  # microseconds, as all times but those of "last"
    ato: u32
    send_mss: u32
    receive_mss: u32
    unacknowledged: u32  # segments, as the next four
    sacked: u32
    lost: u32
    retransmitted: u32
    fackets: u32
    last_sent: u32  # milliseconds ago
    last_ack_sent: u32
    last_received: u32
    last_ack_received: u32
    path_mtu: u32
    receive_threshold: u32
    rtt: u32
    rttvar: u32
    threshold: u32  # segments
    window: u32
    advertised_mss: u32
    reordering: u32
    receive_rtt: u32
    receive_space: u32
    total_retransmitted: u32


STAMPS, SACK, SCALING = 1, 2, 4  # bits of Info.options


@metal
def tell_info(self: StreamSocket, data: Slice[u8]) -> i64:
    """TCP_INFO: its length."""
    c: Connection = self.connection
    told = Info()
    with c.lock:
        time = now()
        told.state = u8(State.LISTEN) if self.phase == Phase.LISTENING else u8(c.state)
        told.probes = u8(min(c.window_probes, u32(255)))
        told.backoff = u8(min(c.backoff, u32(255)))
        told.retransmits = told.backoff
        told.options = (STAMPS if c.stamps else 0) | (SACK if c.sack else 0) | (SCALING if c.scaling else 0)
        told.scales = c.send_scale | c.receive_scale << 4
        told.rto = microseconds(c.rto)
        mss = max(c.mss, u32(1))
        told.send_mss = mss
        told.receive_mss = max(c.receive_mss, u32(DEFAULT_MSS4))
        told.unacknowledged = (less(c.send_next, c.send_una) + mss - 1) // mss
        told.sacked = (c.sacked + mss - 1) // mss
        told.lost = (c.lost + mss - 1) // mss
        told.retransmitted = (c.retransmitted + mss - 1) // mss
        told.last_sent = since(c.last_sent, time)
        told.last_received = since(c.last_heard, time)
        told.last_ack_received = told.last_received
        told.path_mtu = c.path.mtu
        told.rtt = microseconds(c.srtt)
        told.rttvar = microseconds(c.rttvar)
        told.threshold = c.threshold // mss
        told.window = c.window // mss
        told.advertised_mss = mss
        told.receive_space = c.receive_limit // 2
    size = u64(sizeof(Info))
    data[0:size] = unsafe.slice(u8, unsafe.address(told), size)
    return i64(size)


@metal
def microseconds(time: u64) -> u32:
    """Of nanoseconds."""
    return u32(min(time // 1000, 0xFFFF_FFFF))


@metal
def since(moment: u64, time: u64) -> u32:
    """Milliseconds since a moment."""
    return u32(min((time - min(moment, time)) // MILLISECOND, 0xFFFF_FFFF))
