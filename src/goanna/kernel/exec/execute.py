"""execve and execveat: another program in the place of the running one (execve(2), Linux fs/exec.c).

Everything that can fail is done first: the file is found, its interpreters followed, a new address space filled. Only
then do the other threads end and does the old program go.
"""

from goanna.kernel.arch import Frame, float_init, float_restore, set_thread_pointer, set_user_gs, table_switch, virtual
from goanna.kernel.base.errno import EINVAL, ELOOP, ENOENT, ENOMEM
from goanna.kernel.base.text import Text
from goanna.kernel.exec.load import describe_machine, load_program
from goanna.kernel.exec.program import Program
from goanna.kernel.exec.script import ScriptLine, read_line
from goanna.kernel.exec.stack import Start
from goanna.kernel.file.executable import set_executable
from goanna.kernel.file.execute_files import close_marked
from goanna.kernel.file.flags import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX
from goanna.kernel.file.thread_files import adopt, own_files
from goanna.kernel.file.walk import Path
from goanna.kernel.identity.execute_credentials import credentials_for
from goanna.kernel.identity.limits import limit_new_space
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.space import AddressSpace
from goanna.kernel.signal.numbers import SIGCHLD, SIGSEGV
from goanna.kernel.signal.setup import execute_signals
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import end_process, forget_user_memory
from goanna.kernel.thread.family import end_borrowing
from goanna.kernel.thread.process import Credentials, Process, tree_lock
from goanna.kernel.thread.siblings import end_other_threads
from goanna.kernel.thread.switch import forget_float_state
from goanna.kernel.thread.thread import Thread
from goanna.metal import Slice, copy, fill, i32, i64, metal, struct, u8, u32, u64, unsafe

__all__ = ["sys_execve", "sys_execveat"]

AT_EXECVE_CHECK = 0x10000
DEEPEST = 5  # interpreters of interpreters
ORDER = 2  # 4 pages for texts: a path with room for /dev/fd/N before it, the arguments of interpreters
NAME_ROOM = 2 * PATH_MAX
SLASH = 0x2F
NAME_SIZE = 15  # bytes of a thread's name


@struct
class Execution:
    """One execve on its way. `close` after use."""

    program: Program
    start: Start
    memory: u64  # physical address of the texts' pages
    name_length: u64
    prefix: u64  # bytes of arguments that scripts put before the program's own
    credentials: Credentials
    closes_name: bool  # the name is of a descriptor that execve closes: no interpreter could open it

    def texts(self) -> Slice[u8]:
        """Room for texts: the name, then the arguments of interpreters."""
        return unsafe.slice(u8, virtual(self.memory), 4 * PATH_MAX)

    def name(self) -> Slice[u8]:
        """The path as it was given: AT_EXECFN."""
        return self.texts()[0 : self.name_length]

    def arguments(self) -> Slice[u8]:
        """What comes before the arguments that were given."""
        return self.texts()[NAME_ROOM : NAME_ROOM + self.prefix]

    def close(self) -> None:
        """Let go of the file and the texts."""
        self.program.close()
        if self.memory != 0:
            pages.free_order(self.memory, ORDER)
            self.memory = 0


@metal
def sys_execve(frame: Frame, path: u64, arguments: u64, environment: u64) -> i64:
    """execve."""
    return execute(frame, AT_FDCWD, path, arguments, environment, 0)


@metal
def sys_execveat(frame: Frame, directory: i32, path: u64, arguments: u64, environment: u64, options: u32) -> i64:
    """execveat."""
    return execute(frame, directory, path, arguments, environment, options)


@metal
def execute(frame: Frame, directory: i32, path: u64, arguments: u64, environment: u64, options: u32) -> i64:
    """Run a program in place of the running one. Does not come back to the old one but with an errno."""
    execution = Execution()
    execution.memory = pages.allocate_order(ORDER)
    if execution.memory == 0:
        return -ENOMEM
    error = find(execution, directory, path, options)
    if error == 0:
        execution.start.more_arguments.address = arguments
        execution.start.more_environment.address = environment
        error = execution.start.more_arguments.measure()
        if error == 0:
            error = execution.start.more_environment.measure()
    if error == 0 and options & AT_EXECVE_CHECK == 0:
        error = follow_scripts(execution)
        if error == 0:
            error = replace(frame, execution)
    execution.close()
    return error


@metal
def find(execution: Execution, directory: i32, address: u64, options: u32) -> i64:
    """Open the file that a path and a directory name. 0 or an errno."""
    path = Path()
    result = path.load(address)
    if result == 0 and options & AT_EMPTY_PATH == 0:
        result = -ENOENT
    elif result >= 0 and options & ~u32(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_EXECVE_CHECK) != 0:
        result = -EINVAL
    elif result > 0:
        name_it(execution, directory, path)
        result = execution.program.open_path(directory, path, options & AT_SYMLINK_NOFOLLOW == 0)
    elif result == 0:
        result = -ENOENT
        if directory != AT_FDCWD:
            name_it(execution, directory, path)
            result = execution.program.open_descriptor(directory)
    path.release()
    return result


@metal
def name_it(execution: Execution, directory: i32, path: Path) -> None:
    """Keep the path as the new program is to see it: below a descriptor, it begins with /dev/fd."""
    text = Text(window=execution.texts()[0:NAME_ROOM])
    if directory != AT_FDCWD and not path.absolute():
        text.put(b"/dev/fd/")
        text.number(u64(u32.wrap(directory)))
        if path.end != 0:
            text.byte(SLASH)
        files = current().files
        execution.closes_name = files.closes_on_exec(directory)
    text.put(path.rest())
    execution.name_length = text.position


@metal
def follow_scripts(execution: Execution) -> i64:
    """While the file is a script, open its interpreter instead and note what that one's arguments are. 0 or an
    errno."""
    line = ScriptLine()
    for depth in range(DEEPEST + 2):
        error = read_line(line, execution.program.source, execution.program.attributes.size)
        if error < 0:
            return error
        if line.name == 0:
            if depth == 0 and execution.start.more_arguments.count == 0:
                execution.prefix = 1
                execution.texts()[NAME_ROOM] = 0
            return 0
        if depth == DEEPEST:
            return -ELOOP
        if execution.closes_name:
            return -ENOENT
        if depth == 0:
            put_script_name(execution)
        put_before(execution, line)
        execution.program.close()
        error = execution.program.open_text(line.interpreter())
        if error < 0:
            return error
    return -ELOOP


@metal
def put_script_name(execution: Execution) -> None:
    """The script's path takes the place of the first argument."""
    if execution.start.more_arguments.count != 0:
        execution.start.more_arguments.drop_first()
    texts = execution.texts()
    length = execution.name_length
    texts[NAME_ROOM : NAME_ROOM + length] = execution.name()
    texts[NAME_ROOM + length] = 0
    execution.prefix = length + 1


@metal
def put_before(execution: Execution, line: ScriptLine) -> None:
    """An interpreter's path and its argument come before all others."""
    name = line.interpreter()
    option = line.option()
    size = len(name) + 1
    if len(option) != 0:
        size += len(option) + 1
    texts = execution.texts()
    begin: u64 = NAME_ROOM
    texts[begin + size : begin + size + execution.prefix] = texts[begin : begin + execution.prefix]
    texts[begin : begin + len(name)] = name
    texts[begin + len(name)] = 0
    if len(option) != 0:
        at = begin + len(name) + 1
        texts[at : at + len(option)] = option
        texts[at + len(option)] = 0
    execution.prefix += size


@metal
def replace(frame: Frame, execution: Execution) -> i64:
    """Load the program into memory of its own, end the other threads, and change over. 0 or an errno."""
    me = current()
    process: Process = me.process
    memory = spaces.create()
    if memory is None:
        return -ENOMEM
    limit_new_space(process, memory)
    start: Start = execution.start
    start.arguments = execution.arguments()
    start.path = execution.name()
    describe_machine(start)
    start.secure = credentials_for(execution.credentials, process.credentials, execution.program.attributes)
    start.user = execution.credentials.user
    start.effective_user = execution.credentials.effective_user
    start.group = execution.credentials.group
    start.effective_group = execution.credentials.effective_group
    error = load_program(memory, execution.program.source, execution.program.attributes.size, start)
    if error == 0:
        error = end_other_threads(me)
    if error < 0:
        spaces.release(memory)
        return error
    change_over(me, process, memory, execution)
    frame.start(start.entry, start.stack)
    return 0


@metal
def change_over(me: Thread, process: Process, memory: AddressSpace, execution: Execution) -> None:
    """The old program goes. There is no way back: what fails now ends the process."""
    forget_user_memory(me)
    old: AddressSpace = process.space
    with tree_lock:
        process.space = memory
        process.ended.peak = max(process.ended.peak, old.peak)
        process.executed = True
        process.exit_signal = SIGCHLD
        copy(process.credentials, execution.credentials)
        process.dumpable = 0 if execution.start.secure else 1
    table_switch(memory.table)
    spaces.release(old)
    end_borrowing(process)
    execute_signals()
    adopt(me)
    if own_files(me) < 0:
        execution.close()
        end_process(SIGSEGV)
    entry = execution.program.description.entry
    if entry is not None:
        entry.hold()
        set_executable(process, entry)
    take_name(me, process, execution.name())
    forget_thread(me)
    process.barriers.store(0)
    close_marked(me.files)


@metal
def take_name(me: Thread, process: Process, path: Slice[u8]) -> None:
    """Thread and process are called like the last component of the path."""
    begin: u64 = 0
    for index, byte in enumerate(path):
        if byte == SLASH:
            begin = index + 1
    count = min(len(path) - begin, u64(NAME_SIZE))
    fill(me.name[:], 0)
    me.name[0:count] = path[begin : begin + count]
    process.name = me.name


@metal
def forget_thread(me: Thread) -> None:
    """Registers and what else of the thread belonged to the old program."""
    float_init(me.float_area)
    float_restore(me.float_area)
    forget_float_state(me)
    set_thread_pointer(0)
    set_user_gs(0)
    me.restart.call = None
    me.set_child_tid = 0
    me.robust_list = 0
