"""virtio console devices with several named ports (virtio 1.2, 5.3).

The device says by control messages which ports it has and what they are called. Those with a name that is looked for
are opened; without the runner's names, the port that the device says is for a console is it, or a device's only one.
Ports that come later are not used.
"""

from goanna.kernel.arch import pause, physical, virtual
from goanna.kernel.device.virtio.device import Device
from goanna.kernel.device.virtio.port import Port
from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory import pages
from goanna.kernel.shared.boot import CONSOLE_PORT, CONTROL_PORT, ERROR_PORT
from goanna.metal import Array, Ptr, Slice, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = ["CONSOLE_DEVICE", "Console", "console_interrupt"]

CONSOLE_DEVICE = 3  # virtio device ID
SEVERAL_PORTS = 1 << 1  # feature VIRTIO_CONSOLE_F_MULTIPORT
PORT_COUNT = 4  # offset in the configuration
MAXIMUM_PORTS = 4  # numbers below it are looked at

CONTROL_INPUT, CONTROL_OUTPUT = 2, 3  # queues
CONTROL_LIMIT = 32
MESSAGE_SIZE = 64  # bytes of a buffer for control messages: with what is kept of a name
MESSAGE_ROOM = MESSAGE_SIZE * CONTROL_LIMIT
PATIENCE = 2_000_000  # looks at a queue before the device is given up

# Events of control messages.
DEVICE_READY, PORT_ADDED, PORT_READY, IS_CONSOLE, PORT_OPEN, PORT_NAME = 0, 1, 3, 4, 6, 7


@struct
class Message:
    """struct virtio_console_control. A port's name follows in PORT_NAME."""

    port: u32
    event: u16
    value: u16


@struct
class Console:
    """One device. Its start is for one processor at boot; afterwards each port has locks of its own."""

    device: Device
    control_input: Queue
    control_output: Queue
    page: u64  # kernel address: buffers of the control queues, from MESSAGE_ROOM on for output
    ports: Array[Port, MAXIMUM_PORTS]
    console: Ptr[Port]  # standard input and output; None: there is no such port
    errors: Ptr[Port]  # standard error
    control: Ptr[Port]  # records of shared/control.py

    def start(self, named: bool) -> bool:
        """Start the device, which a transport has found, and wait for its ports: all three that the runner names if it
        has `named` them, else one for a console. False: it can't be driven, no such port is there, or there is no
        memory."""
        if not self.device.begin(SEVERAL_PORTS):
            return False
        if not self.device.has(SEVERAL_PORTS):
            return self.start_single()
        if not self.open_control() or not self.open_ports(1 if named else 0):
            self.device.fail()
            return False
        self.device.ready()
        for index in range(u64(self.control_input.size)):
            self.give(index + 1)
        self.device.publish(self.control_input)
        self.say(0, DEVICE_READY)
        for _ in range(PATIENCE):
            if self.complete(named):
                return True
            if not self.listen():
                pause()
        self.device.fail()
        return False

    def complete(self, named: bool) -> bool:
        """Whether all ports that are waited for are open."""
        return self.console is not None and (not named or (self.errors is not None and self.control is not None))

    def start_single(self) -> bool:
        """A device with one port without a name."""
        port = self.ports[0]
        port.device = self.device
        if not port.open_queues():
            self.device.fail()
            return False
        self.device.ready()
        self.console = port
        return True

    def open_control(self) -> bool:
        """Make the control queues."""
        memory = pages.allocate()
        if memory == 0:
            return False
        self.page = virtual(memory)
        made = self.device.open_queue(self.control_input, CONTROL_INPUT, CONTROL_LIMIT) and self.device.open_queue(
            self.control_output, CONTROL_OUTPUT, CONTROL_LIMIT
        )
        if made:
            self.control_input.rest()
            self.control_output.rest()
        return made

    def open_ports(self, first: u32) -> bool:
        """Make the queues of all ports that may be looked at, from number `first` on. Number 0 never has a name."""
        count = min(self.device.configuration32(PORT_COUNT), u32(MAXIMUM_PORTS))
        for number in range(first, count):
            port = self.ports[number]
            port.device = self.device
            port.number = u16(number)
            if not port.open_queues():
                return False
        return True

    def give(self, token: u64) -> None:
        """Give the device a buffer for a control message, if there is one of that number."""
        if token <= CONTROL_LIMIT:
            part = Array[Part, 1]()
            part[0].address = physical(self.page) + (token - 1) * MESSAGE_SIZE
            part[0].length = MESSAGE_SIZE
            self.control_input.add(part, 0, token)

    def say(self, port: u32, event: u16) -> None:
        """Send a control message of value 1, and wait until the device has read it."""
        message = unsafe.at(Message, self.page + MESSAGE_ROOM)
        message.port = port
        message.event = event
        message.value = 1
        part = Array[Part, 1]()
        part[0].address = physical(self.page) + MESSAGE_ROOM
        part[0].length = sizeof(Message)
        self.control_output.add(part, 1, 1)
        self.device.publish(self.control_output)
        for _ in range(PATIENCE):
            token, _ = self.control_output.take()
            if token != 0:
                return
            pause()

    def listen(self) -> bool:
        """Heed the next control message; whether there was one."""
        token, length = self.control_input.take()
        if token == 0:
            return False
        size = min(u64(length), MESSAGE_SIZE)
        if size >= sizeof(Message):
            address = self.page + (token - 1) * MESSAGE_SIZE
            name = unsafe.slice(u8, address + sizeof(Message), size - sizeof(Message))
            self.heed(unsafe.at(Message, address), name)
        self.give(token)
        self.device.publish(self.control_input)
        return True

    def heed(self, message: Message, name: Slice[u8]) -> None:
        """Do what a control message asks for."""
        number = message.port
        if message.event == PORT_ADDED:
            self.say(number, PORT_READY)
        elif number < MAXIMUM_PORTS and self.ports[number].there:
            port = self.ports[number]
            if port.taken:
                return
            if message.event == PORT_NAME:
                port.taken = self.take_named(port, name)
            elif message.event == IS_CONSOLE and self.console is None:
                self.console = port
                port.taken = True
            if port.taken:
                self.say(number, PORT_OPEN)

    def take_named(self, port: Port, name: Slice[u8]) -> bool:
        """Take a port if its name is looked for. Some devices end names with a zero byte."""
        length: u64 = 0
        while length < len(name) and name[length] != 0:
            length += 1
        if name[0:length] == CONSOLE_PORT and self.console is None:
            self.console = port
        elif name[0:length] == ERROR_PORT and self.errors is None:
            self.errors = port
        elif name[0:length] == CONTROL_PORT and self.control is None:
            self.control = port
        else:
            return False
        return True


@metal
def console_interrupt(argument: u64) -> None:
    """The interrupt of the console at address `argument`."""
    console = unsafe.at(Console, argument)
    console.device.interrupted()
    for number in range(u64(MAXIMUM_PORTS)):
        port = console.ports[number]
        if port.there and port.receive is not None:
            port.interrupted()
