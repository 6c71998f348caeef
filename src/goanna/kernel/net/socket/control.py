"""Control messages, which go beside the bytes: read from who sends, written for who receives (cmsg(3))."""

from goanna.kernel.base.errno import EINVAL, EPERM, ESRCH
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import descriptor_limit, files
from goanna.kernel.identity.credentials import CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, capable, mine
from goanna.kernel.memory import user
from goanna.kernel.net.socket.message import MSG_CMSG_CLOEXEC, MSG_CTRUNC, Message
from goanna.kernel.net.socket.passed import Passed, load
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import tree_lock
from goanna.kernel.thread.thread import find_in_table
from goanna.metal import Slice, i64, metal, sizeof, struct, u8, u32, u64, unsafe

SOL_SOCKET = 1
SCM_RIGHTS = 1
SCM_CREDENTIALS = 2
NOBODY = 65534  # overflowuid and overflowgid


@struct
class ControlHeader:
    """struct cmsghdr; the data follow, and the next header at a multiple of 8."""

    length: u64  # with the header
    level: u32
    type: u32


@struct
class Identity:
    """struct ucred."""

    process: u32
    user: u32
    group: u32


HEADER = sizeof(ControlHeader)


@metal
def read_control(message: Message) -> i64:
    """Look at what a program sends beside its bytes: descriptors and identity. 0 or an errno.

    Messages of other levels are left to the protocol.
    """
    position: u64 = 0
    while message.sent_control_length - position >= HEADER:
        header = unsafe.at(ControlHeader, message.sent_control + position)
        if header.length < HEADER or header.length > message.sent_control_length - position:
            return -EINVAL
        if header.level == SOL_SOCKET:
            data = unsafe.slice(u8, message.sent_control + position + HEADER, header.length - HEADER)
            error = read_one(message, header.type, data)
            if error < 0:
                return error
        position += min((header.length + 7) & ~7, message.sent_control_length - position)
    return 0


@metal
def read_one(message: Message, type: u32, data: Slice[u8]) -> i64:
    """One message of SOL_SOCKET."""
    if type == SCM_RIGHTS:
        passed, error = load(message.passed, data)
        message.passed = passed
        return error
    if type != SCM_CREDENTIALS or len(data) != sizeof(Identity):
        return -EINVAL
    told = unsafe.at(Identity, unsafe.address(data))
    error = may_claim(told)
    if error == 0:
        message.process = told.process
        message.user = told.user
        message.group = told.group
        message.told_identity = True
    return error


@metal
def may_claim(told: Identity) -> i64:
    """Whether the running process may say that it is that (scm_check_creds). 0, -EPERM or -ESRCH."""
    me = mine()
    if told.process != current_process().id and not capable(CAP_SYS_ADMIN):
        return -EPERM
    if told.user not in (me.user, me.effective_user, me.saved_user) and not capable(CAP_SETUID):
        return -EPERM
    if told.group not in (me.group, me.effective_group, me.saved_group) and not capable(CAP_SETGID):
        return -EPERM
    if told.process != current_process().id:
        with tree_lock:
            if find_in_table(told.process) is None:
                return -ESRCH
    return 0


@metal
def identify(message: Message) -> None:
    """Let a message that says nothing of its sender name the running process."""
    if not message.told_identity:
        me = mine()
        message.process = current_process().id
        message.user = me.user
        message.group = me.group
        message.told_identity = True


@metal
def put_control(message: Message, level: u32, type: u32, data: Slice[u8]) -> None:
    """Give the receiver a control message, cut to the room that there is (put_cmsg)."""
    if message.control == 0 or message.control_left < HEADER:
        message.told |= MSG_CTRUNC
        return
    length = HEADER + len(data)
    if length > message.control_left:
        message.told |= MSG_CTRUNC
        length = message.control_left
    header = ControlHeader(length=length, level=level, type=type)
    if user.put_struct(message.control, header) == 0:
        user.copy_out(message.control + HEADER, data[0 : length - HEADER])
    step_over(message, length)


@metal
def step_over(message: Message, length: u64) -> None:
    """The next control message goes behind one of that length."""
    taken = min((length + 7) & ~7, message.control_left)
    message.control += taken
    message.control_left -= taken
    message.control_used += taken


@metal
def put_identity(message: Message, process: u32, user_: u32, group: u32) -> None:
    """Tell the receiver who sent it (SO_PASSCRED)."""
    told = Identity(process=process, user=user_, group=group)
    put_control(message, SOL_SOCKET, SCM_CREDENTIALS, unsafe.slice(u8, unsafe.address(told), sizeof(Identity)))


@metal
def put_passed(message: Message, passed: Passed) -> None:
    """Give the receiver descriptors, as many as fit, and tell it if some did not (scm_detach_fds)."""
    room: u64 = 0
    if message.control != 0 and message.control_left > HEADER:
        room = (message.control_left - HEADER) // 4
    wanted = min(room, passed.count)
    done: u64 = 0
    while done < wanted:
        if put_file(message, passed.files[done], message.control + HEADER + done * 4) < 0:
            break
        done += 1
    if done != 0:
        header = ControlHeader(length=HEADER + done * 4, level=SOL_SOCKET, type=SCM_RIGHTS)
        user.put_struct(message.control, header)
        step_over(message, header.length)
    if done < passed.count:
        message.told |= MSG_CTRUNC


@metal
def put_file(message: Message, description: Description, address: u64) -> i64:
    """A new descriptor for one of them, its number at an address. 0 or an errno."""
    number = files().reserve(0, descriptor_limit())
    if number < 0:
        return i64(number)
    if user.put(address, number) < 0:
        files().cancel(number)
        return -EINVAL
    description.hold()
    files().install(number, description, message.has(MSG_CMSG_CLOEXEC))
    return 0
