"""What is written first is evaluated first, as in Python."""

from goanna.metal import Array, Ptr, metal, struct, u64


@struct
class Counter:
    value: u64

    def more(self, by: u64) -> u64:
        self.value += by
        return self.value


@metal
def pair_of(a: u64, b: u64) -> u64:
    return a * 10 + b


@metal
def order_of_evaluation() -> tuple[bool, u64, u64, u64, u64, u64, u64]:
    counter = Counter(value=1)
    n: u64 = 1
    items = Array[u64, 4]()
    compared = counter.value < counter.more(1)
    named = n * 10 + (n := 5)
    items[counter.value] = counter.more(1)
    swapped = pair_of(b=counter.more(1), a=counter.more(1))
    least = min(counter.value, counter.more(1))
    first, second = counter.value, counter.more(1)
    turns: u64 = 0
    for _ in range(counter.value, counter.more(2)):
        turns += 1
    return compared, named, items[3], swapped, least, pair_of(first, second), turns


def test_what_is_written_first_is_evaluated_first(run):
    assert run(order_of_evaluation) == (True, 15, 3, 54, 5, 67, 2)


@struct
class Link:
    target: Ptr[Counter]


@metal
def target_of(counter: Counter) -> Ptr[Counter]:
    link = Link(target=counter)
    return link.target


@metal
def through_a_link() -> bool:
    counter = Counter()
    return target_of(counter) is counter


def test_what_a_structure_of_the_frame_points_to_may_be_returned(run):
    assert run(through_a_link)
