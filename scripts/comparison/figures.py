"""Compares the figures of results: number by number of one run, or the distribution over the seeds of a topology."""

import re
from collections import defaultdict
from statistics import mean, variance

RELATIVE = 0.02
TIME_FLOOR_S = 0.001
# Two-sided 99.9 % points of Student's t by degrees of freedom, each good up to the next: of some thousand figures that
# are compared one is beyond it by chance.
STUDENT = ((2, 31.6), (3, 12.9), (4, 8.61), (5, 6.87), (6, 5.96), (7, 5.41), (8, 5.04), (9, 4.78), (10, 4.59), (12, 4.32),
           (15, 4.07), (20, 3.85), (30, 3.65), (60, 3.46))
# What says which run it is and when it began, not what came out.
ORIGIN = {"schema", "wpanlab_version", "kernel", "start_unix_ns"}
# An item of a list is known by these of its keys.
IDENTITY = ("metric", "client", "node", "method", "resource")
# The kernel's own timers send neighbour solicitations; some may come or go.
KERNEL_TIMED = "neighbour_discovery"
KERNEL_TIMED_BYTES = 80  # of such a message, about
# Which message or instant it was: no figure where the air decides what arrives.
INSTANTS = re.compile(r"\.(last_before|first_after)\.|\.message_id$|\.measured$")


def identity(item):
    """What an item of a list is about. Results of schema 1 name no method: clients could only GET."""
    if "client" in item and "resource" in item:
        item = {"method": "GET", **item}
    return " ".join(str(item[key]) for key in IDENTITY if key in item)


def leaves(value, names, merge=False):
    """Every leaf of a result as a list of values by path. Items of lists are named by what they are about; if some are
    about the same they are numbered or, with `merge`, come under one path."""
    found = defaultdict(list)

    def walk(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            count = defaultdict(int)
            for item in value:
                name = identity(item)
                count[name] += 1
                walk(item, f"{path}[{name}{'' if merge or count[name] == 1 else f' #{count[name]}'}]")
            for name, number in count.items():
                found[f"{path}[{name}].count"].append(number)
        elif isinstance(value, list):
            found[path + ".count"].append(len(value))
            if not merge:
                found[path].append([named(item) for item in value])
        else:
            found[path].append(named(value))

    def named(value):
        return names.in_text(value) if isinstance(value, str) else value

    walk(value, "")
    return found


def is_time(path, *values):
    """Whether a figure is in seconds, by its name; of `measured` that is told by its fraction."""
    parts = re.split(r"[.\[\]]+", path)
    if any(part.endswith("_s") or part == "phases" for part in parts):
        return True
    return parts[-1] == "measured" and any(value != int(value) for value in values)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_count(path, value):
    return not is_time(path, value) and value == int(value)


def compare(sides, names):
    """Yields path, text and whether it is only a note, of results of one run: before, what shifted times give, after.
    A value that a shifted run has, too, is timing's."""
    old, *shifted, new = map(leaves, sides, names)
    for path in list(old) + [path for path in new if path not in old]:
        if path not in new:
            yield path, "not there any more", False
        elif path not in old:
            yield path, "new", True
        elif old[path] != new[path]:
            found = difference(path, old[path][0], new[path][0])
            likewise = (side[path][0] for side in shifted if path in side)
            if found and not found[1] and not all(differs(path, value, new[path][0]) for value in likewise):
                found = f"{found[0]}, as with shifted times", True
            if found:
                yield path, *found


def differs(path, old, new):
    """Whether two values differ by more than is allowed."""
    found = difference(path, old, new)
    return old != new and found is not None and not found[1]


def difference(path, old, new):
    """What is to be said of two values that are not equal, if anything, and whether that is only a note."""
    text = f"{shown(old)} -> {shown(new)}"
    last = path.split(".")[-1]
    if last in ORIGIN:
        return None if last == "start_unix_ns" else (text, True)
    if not is_number(old) or not is_number(new):
        return text, False
    apart = abs(new - old)
    text += f" ({(new - old) / abs(old):+.2%})" if old else ""
    within = RELATIVE * abs(old)
    if is_time(path, old, new):
        if apart > max(within, TIME_FLOOR_S):
            return text, False
        return (f"{text}, within {TIME_FLOOR_S * 1000:g} ms", True) if apart > within else None
    if KERNEL_TIMED in path:
        size = KERNEL_TIMED_BYTES if path.endswith("bytes") else 1
        return f"{text}, timed by the kernel", little(old / size, new / size)
    return (text, False) if apart > within or is_count(path, old) and is_count(path, new) else None


def little(before, after):
    """Whether two counts of what happens now and then are no further apart than chance makes them: three standard
    deviations of the difference of two Poisson counts, at least 3."""
    return abs(before - after) <= 3 * max(1, (before + after) ** 0.5)


def shown(value):
    """A value as it is printed."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list) and len(value) > 6:
        return f"[{', '.join(map(str, value[:5]))}, ... {len(value)}]"
    return str(value)


def figures(result, names):
    """Numbers of one run by path, for a distribution: of several items about the same their mean."""
    numbers = {}
    for path, values in leaves(result, names, merge=True).items():
        values = [value for value in values if is_number(value)]
        if values and path.split(".")[-1] not in ORIGIN and not INSTANTS.search(path):
            numbers[path] = mean(values)
    return numbers


def told(result, names):
    """Paths of all that a result tells, and what it tells in words."""
    paths = set()
    for path, values in leaves(result, names, merge=True).items():
        if path.split(".")[-1] not in ORIGIN and not path.startswith("notes"):
            paths.add(path)
            paths |= {f"{path} {value}" for value in values if isinstance(value, (str, bool)) and not is_outcome(path)}
    return paths


def is_outcome(path):
    """Whether a path is of what is compared as outcomes."""
    return path == "passed" or path.startswith("expectations[") and path.endswith(".outcome")


class Spread:
    """How a figure is distributed over the runs before and after, and whether the two agree."""

    def __init__(self, path, before, after, timed):
        self.path, self.before, self.after = path, before, after
        old, new = mean(before), mean(after)
        counted = not timed and all(value == int(value) for value in before + after)
        floor = RELATIVE * abs(old)
        if timed:
            floor = max(floor, TIME_FLOOR_S)
        elif counted:
            # Of rare events there are sometimes a few more: Poisson's standard deviation, three times.
            floor = max(floor, 1, 3 * (old / len(before) + new / len(after)) ** 0.5)
        self.agrees = abs(new - old) <= max(floor, by_chance(before, after))
        # What is now one thing, now another has no spread while it is one: nothing is new in what before has, too.
        self.agrees |= min(before) - floor <= min(after) and max(after) <= max(before) + floor
        if KERNEL_TIMED in path:
            size = KERNEL_TIMED_BYTES if path.endswith("bytes") else 1
            self.agrees |= little(old / size, new / size)
        # What every run of one side does, and none of the other, is no chance, however rare it is in a run.
        if counted and len(before) > 1 and len(after) > 1:
            self.agrees &= not (min(before) > 0 and max(after) == 0 or min(after) > 0 and max(before) == 0)
        self.beyond = abs(new - old) > RELATIVE * abs(old)

    def __str__(self):
        old, new = mean(self.before), mean(self.after)
        share = f" ({(new - old) / abs(old):+.2%})" if old else ""
        return f"mean {shown(old)} -> {shown(new)}{share}; runs {listed(self.before)} -> {listed(self.after)}"


def by_chance(before, after):
    """How far apart the means of two samples of one distribution may be (Student's t); 0 of a sample of one."""
    if len(before) < 2 or len(after) < 2:
        return 0
    freedom = len(before) + len(after) - 2
    pooled = (variance(before) * (len(before) - 1) + variance(after) * (len(after) - 1)) / freedom
    point = [point for least, point in STUDENT if least <= freedom][-1]
    return point * (pooled * (1 / len(before) + 1 / len(after))) ** 0.5


def listed(values):
    """Values of runs in words."""
    return " ".join(f"{value:.5g}" for value in values)


def distributions(before, after):
    """A `Spread` of each figure; `before` and `after` have the figures by path of each run. A count that a run does not
    have is 0 there, any other figure is left out of that run, and of both sides if one has none."""
    for path in sorted({path for run in before + after for path in run}):
        values = [run[path] for run in before + after if path in run]
        timed = is_time(path, *values)
        if not timed and all(value == int(value) for value in values):
            old, new = [run.get(path, 0) for run in before], [run.get(path, 0) for run in after]
        else:
            old, new = [run[path] for run in before if path in run], [run[path] for run in after if path in run]
        if old and new:
            yield Spread(path, old, new, timed)
