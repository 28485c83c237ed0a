"""Compares two sequences of items, each with `time_s`, `what` and `ident`, and says in a few lines how they differ."""

from collections import Counter, defaultdict
from difflib import SequenceMatcher
from typing import NamedTuple

# Beyond so many pairs two sequences are compared as multisets: aligning them would take too long.
ALIGN_LIMIT = 4_000_000
# Mod what an identifier counts: Message IDs, then tokens by their length.
MESSAGE_IDS = 1 << 16


class Item(NamedTuple):
    """An element of a stream; `ident` is a Message ID and a token, or another identifier, or empty."""

    time_s: float
    what: str
    ident: tuple


class Change(NamedTuple):
    """One way in which two sequences differ, and when that begins."""

    time_s: float
    what: str


def compare(before, after):
    """All changes, the earliest first, in whichever of two ways takes fewer words: as messages that are missing or
    additional, or as the same messages with other identifiers."""
    if list(map(full, before)) == list(map(full, after)):
        return []
    ways = edits(before, after, full), shifted(before, after)
    return sorted(min(ways, key=lambda way: way[0])[1])


def full(item):
    return item.what, item.ident


def shape(item):
    return item.what


def common_prefix(before, after):
    """How many elements are equal from the beginning."""
    count = 0
    for left, right in zip(before, after):
        if left != right:
            break
        count += 1
    return count


def edits(before, after, key):
    """How many elements differ, and what is missing, additional, changed or moved, elements of one kind together."""
    gone, come, changes = [], [], []
    for operation, a, b, c, d in opcodes(list(map(key, before)), list(map(key, after))):
        if operation != "equal":
            gone += before[a:b]
            come += after[c:d]
    cost = len(gone) + len(come)
    moved = Counter(map(key, gone)) & Counter(map(key, come))
    gone, left_out = split(gone, key, moved)
    come, _ = split(come, key, moved)
    changes += grouped([(item, f"in another order: {item.what}") for item in left_out])
    if key is full:
        changed = {item.ident: item for item in come if item.ident}
        pairs = [(item, changed[item.ident]) for item in gone if item.ident in changed]
        changes += grouped([(old, f"changed: {old.what}, now {new.what}") for old, new in pairs])
        idents = {old.ident for old, _ in pairs}
        gone = [item for item in gone if item.ident not in idents]
        come = [item for item in come if item.ident not in idents]
    changes += grouped([(item, f"missing: {item.what}") for item in gone])
    changes += grouped([(item, f"additional: {item.what}") for item in come])
    return cost, changes


def opcodes(before, after):
    """Edits that make one list of keys the other, as `SequenceMatcher` gives them."""
    first = common_prefix(before, after)
    last = common_prefix(before[first:][::-1], after[first:][::-1])
    left, right = before[first:len(before) - last], after[first:len(after) - last]
    if len(left) * len(right) > ALIGN_LIMIT and len(set(left)) < len(left) // 2:
        middle = [("replace", 0, len(left), 0, len(right))]
    else:
        middle = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    ends = len(before) - last, len(after) - last
    return [("equal", 0, first, 0, first),
            *((operation, a + first, b + first, c + first, d + first) for operation, a, b, c, d in middle),
            ("equal", ends[0], len(before), ends[1], len(after))]


def split(items, key, moved):
    """Elements without those that are in `moved`, and those, as often as they are there."""
    left, rest, taken = Counter(moved), [], []
    for item in items:
        if left[key(item)]:
            left[key(item)] -= 1
            taken.append(item)
        else:
            rest.append(item)
    return rest, taken


def grouped(entries):
    """One change per text of pairs of an element and a text, with how many there are and which is the first."""
    groups = defaultdict(list)
    for item, text in entries:
        groups[text].append(item)
    changes = []
    for text, items in groups.items():
        times = f"{len(items)} x " if len(items) > 1 else ""
        first = min(items, key=lambda item: item.time_s)
        changes.append(Change(first.time_s, f"{times}{text}{identifier(first.ident)} at {first.time_s:.6f} s"))
    return changes


def identifier(ident):
    """An identifier as it is shown."""
    if len(ident) == 2:
        return f" #{ident[0]}" + (f" token {ident[1].hex()}" if ident[1] else "")
    return f" id {ident[0]:#x}" if ident else ""


def shifted(before, after):
    """What is the same without identifiers, and by how much these are shifted; how many elements and steps that is."""
    cost, changes = edits(before, after, shape)
    segments = []  # offset, how many, the first and its index
    for index, old, new in aligned(before, after):
        if old.ident == new.ident:
            continue
        by = offset(old.ident, new.ident)
        if segments and segments[-1][0] == by:
            segments[-1][1] += 1
        else:
            segments.append([by, 1, old, index])
    for by, count, old, index in segments[:3]:
        changes.append(Change(old.time_s, f"identifiers of {count} from number {index + 1} on {by}; "
                                          f"first {old.what}{identifier(old.ident)} at {old.time_s:.6f} s"))
    if len(segments) > 3:
        rest = sum(segment[1] for segment in segments[3:])
        changes.append(Change(segments[3][2].time_s, f"identifiers of {rest} more differ, in {len(segments) - 3} steps"))
    return cost + len(segments), changes


def aligned(before, after):
    """Index and pair of elements that are the same but for their identifiers."""
    for operation, a, b, c, _ in opcodes(list(map(shape, before)), list(map(shape, after))):
        if operation == "equal":
            for index in range(a, b):
                yield index, before[index], after[c + index - a]


def offset(old, new):
    """The difference of two identifiers in words, the same words for the same difference."""
    if len(old) != 2 or len(new) != 2 or len(old[1]) != len(new[1]):
        return "differ"
    message_id = (new[0] - old[0] + MESSAGE_IDS // 2) % MESSAGE_IDS - MESSAGE_IDS // 2
    parts = [f"Message IDs {message_id:+}"] if message_id else []
    if old[1] != new[1]:
        tokens = 256 ** len(old[1])
        by = (int.from_bytes(new[1], "big") - int.from_bytes(old[1], "big") + tokens // 2) % tokens - tokens // 2
        parts.append(f"tokens {by:+}" if abs(by) < 1 << 16 else "tokens elsewhere")
    return "are shifted: " + ", ".join(parts)
