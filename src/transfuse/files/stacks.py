"""What a pickle would build, followed opcode by opcode and never built; without it a lie is found once it is in memory.

Numbers, texts and short tuples on the pickle's stack are known, everything else is not. From that follow the bytes that
each storage claims, and tensors and tuples that are larger than anything behind them.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

# Tuples that hold a tuple twice, and so on, double at each step; hashing or printing the last would take for ever.
LARGEST_TUPLE = 100_000
LONGEST_KNOWN = 16
PUTS, GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
REBUILT = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v3")
ITEM_BYTES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "ComplexDouble": 16,
    "ComplexFloat": 8,
}  # fmt: skip
STORAGE_PARTS = 5


@dataclass(frozen=True)
class Item:
    """One thing on the stack: how many values it is written out, and the value itself where it is known."""

    size: int = 1
    value: Any = None


@dataclass(frozen=True)
class Storage:
    """The numbers behind tensors, as a pickle names them: the record's key, how many, and the bytes of one."""

    key: str
    count: int
    item_bytes: int


@dataclass
class Stack:
    """Follows one pickle. `claims` are the bytes that every storage would take, by its record's key.

    Raises ValueError for a tuple that stands for more than `LARGEST_TUPLE` values, a storage that is not told plainly,
    and a tensor that reaches beyond its storage.
    """

    claims: dict[str, int] = field(default_factory=dict)
    stack: list[Item] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Item] = field(default_factory=dict)

    def take(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Follow one opcode."""
        name, top = opcode.name, self.stack[-1] if self.stack else Item()
        if name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "MEMOIZE" or name in PUTS:
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument or 0)] = top
        elif name in GETS:
            self.stack.append(self.memo.get(int(argument or 0), Item()))
        elif name == "DUP":
            self.stack.append(top)
        else:
            made = self._made(name, argument, self._popped(opcode))
            self.stack += [made] * len(opcode.stack_after)

    def _made(self, name: str, argument: Any, taken: list[Item]) -> Item:
        if "TUPLE" in name:
            size = 1 + sum(item.size for item in taken)
            if size > LARGEST_TUPLE:
                raise ValueError(f"a tuple that stands for more than {LARGEST_TUPLE:,} values")
            return Item(size, tuple(item.value for item in taken) if len(taken) <= LONGEST_KNOWN else None)
        values = [item.value for item in taken]
        if name == "GLOBAL":
            return Item(value=str(argument).replace(" ", ".", 1))
        if name == "STACK_GLOBAL" and all(isinstance(value, str) for value in values):
            return Item(value=".".join(values))
        if name in ("PERSID", "BINPERSID"):
            return Item(value=self._storage(values[0] if values else argument))
        if name == "REDUCE" and len(values) == 2 and values[0] in REBUILT:
            _refuse_beyond(values[1])
        return Item(value=argument if isinstance(argument, int | str) else None)

    def _storage(self, told: Any) -> Storage:
        if not isinstance(told, tuple) or len(told) < STORAGE_PARTS or told[0] != "storage":
            raise ValueError("a storage that is not told as torch.save does")
        kind, key, count = told[1], told[2], told[4]
        if not isinstance(kind, str) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise ValueError("a storage that is not told as torch.save does")
        name = kind.rsplit(".", 1)[-1].removesuffix("Storage")
        found = Storage(key, count, ITEM_BYTES.get(name, 1))
        self.claims[key] = max(self.claims.get(key, 0), count * found.item_bytes)
        return found

    def _popped(self, opcode: pickletools.OpcodeInfo) -> list[Item]:
        """What an opcode takes off the stack; of those that take a slice, what lies above the last mark."""
        before = opcode.stack_before
        if pickletools.markobject in before:
            start = self.marks.pop() if self.marks else 0
            taken = self.stack[start:]
            del self.stack[max(0, start - before.index(pickletools.markobject)) :]
            return taken
        start = max(0, len(self.stack) - len(before))
        taken = self.stack[start:]
        del self.stack[start:]
        return taken


def _refuse_beyond(told: Any) -> None:
    """A tensor [size] with these strides must end within its storage; what is not known is left to PyTorch."""
    if not isinstance(told, tuple) or len(told) < 4 or not isinstance(told[0], Storage):
        return
    storage, offset, size, stride = told[:4]
    if type(offset) is not int or not isinstance(size, tuple) or not isinstance(stride, tuple):
        return
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or any(type(each) is not int or each < 0 for each in numbers):
        raise ValueError("a tensor with sizes or strides that are none")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.count:
        raise ValueError(f"a tensor that reaches beyond its storage of {storage.count} numbers")
