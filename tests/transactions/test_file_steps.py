"""The file steps on a real disk."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from dramaturg.actors.transactions.errors import (
    ChangedMeanwhileError,
    FencedError,
    TransactionRefusedError,
)
from dramaturg.actors.transactions.fence import Fence
from dramaturg.actors.transactions.step import Call, Step
from dramaturg.actors.transactions.steps.disk import short
from dramaturg.actors.transactions.steps.files import (
    Delete,
    DeleteFile,
    Move,
    Moved,
    MoveFile,
    Write,
    WriteFile,
    file_steps,
)

A = TypeVar("A", bound=msgspec.Struct)
U = TypeVar("U", bound=msgspec.Struct)

pytestmark = pytest.mark.asyncio


class Disk:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.keep = folder / "keep"
        self.write = WriteFile(self.root, self.keep)
        self.move = MoveFile(self.root)
        self.delete = DeleteFile(self.root, self.keep)

    def files(self) -> dict[str, str]:
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return {str(p.relative_to(self.root)): p.read_text() for p in paths}

    def kept(self) -> list[Path]:
        return list(self.keep.iterdir()) if self.keep.exists() else []


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def call(attempt: int = 1) -> Call:
    return Call("transaction/main/01", 0, attempt, Fence("01#0"))


async def do(step: Step[A, U], args: A, one: Call) -> U:
    await step.check(args)
    undo = await step.prepare(args, one)
    await step.run(args, undo, one)
    return undo


async def test_a_new_file_is_gone_with_its_folders_after_the_rollback(
    disk: Disk,
) -> None:
    args = Write("a/b/new.txt", text="new")
    undo = await do(disk.write, args, call())
    assert disk.files() == {"a/b/new.txt": "new"}

    await disk.write.compensate(args, undo, call())

    assert list(disk.root.iterdir()) == []


async def test_a_folder_somebody_else_uses_meanwhile_stays(disk: Disk) -> None:
    args = Write("a/new.txt", text="new")
    undo = await do(disk.write, args, call())
    (disk.root / "a" / "other.txt").write_text("other")

    await disk.write.compensate(args, undo, call())

    assert disk.files() == {"a/other.txt": "other"}


async def test_an_overwritten_file_is_restored(disk: Disk) -> None:
    (disk.root / "f").write_text("old")
    args = Write("f", text="new")
    undo = await do(disk.write, args, call())
    assert disk.files() == {"f": "new"}

    await disk.write.compensate(args, undo, call())
    await disk.write.compensate(args, undo, call(2))

    assert disk.files() == {"f": "old"}


async def test_the_copy_is_dropped_at_the_end(disk: Disk) -> None:
    (disk.root / "f").write_text("old")
    args = Write("f", text="new")
    undo = await do(disk.write, args, call())
    assert len(disk.kept()) == 1

    await disk.write.tidy(args, undo, call())
    assert disk.kept() == []

    new = Write("g", text="new")
    await disk.write.tidy(new, await do(disk.write, new, call()), call())


async def test_contents_come_from_a_source_file(disk: Disk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("large" * 500_000)

    await do(disk.write, Write("f", source=str(source)), call())

    assert disk.files() == {"f": "large" * 500_000}


async def test_a_source_that_changed_is_not_written(disk: Disk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("one")
    args = Write("f", source=str(source))
    undo = await disk.write.prepare(args, call())
    source.write_text("two")

    with pytest.raises(ChangedMeanwhileError, match="source"):
        await disk.write.run(args, undo, call())

    assert disk.files() == {}


async def test_taking_back_what_never_happened_is_harmless(disk: Disk) -> None:
    (disk.root / "f").write_text("old")
    for args in (Write("f", text="new"), Write("g", text="new")):
        undo = await disk.write.prepare(args, call())
        await disk.write.compensate(args, undo, call())
    moving = Move("f", "h")
    moved = await disk.move.prepare(moving, call())
    await disk.move.compensate(moving, moved, call())
    deleted = await disk.delete.prepare(Delete("f"), call())
    await disk.delete.compensate(Delete("f"), deleted, call())

    assert disk.files() == {"f": "old"}


async def test_what_somebody_else_changed_is_not_overwritten(disk: Disk) -> None:
    args = Write("f", text="new")
    undo = await do(disk.write, args, call())
    (disk.root / "f").write_text("theirs")

    with pytest.raises(ChangedMeanwhileError, match="somebody else"):
        await disk.write.compensate(args, undo, call())

    assert disk.files() == {"f": "theirs"}


async def test_a_late_attempt_is_refused_by_the_fence(disk: Disk) -> None:
    (disk.root / "f").write_text("old")
    one = call()
    write, move, delete = Write("n", text="new"), Move("f", "g"), Delete("f")
    written = await disk.write.prepare(write, one)
    moved = await disk.move.prepare(move, one)
    deleted = await disk.delete.prepare(delete, one)
    one.fence.close()

    with pytest.raises(FencedError, match="too late"):
        await disk.write.run(write, written, one)
    with pytest.raises(FencedError):
        await disk.move.run(move, moved, one)
    with pytest.raises(FencedError):
        await disk.delete.run(delete, deleted, one)

    assert disk.files() == {"f": "old"}


async def test_what_a_crashed_attempt_left_is_removed(disk: Disk) -> None:
    args = Write("f", text="new")
    undo = await disk.write.prepare(args, call())
    theirs, ours = disk.root / ".theirs", disk.root / f".{short(call().key)}.1"
    theirs.write_text("x")

    ours.write_text("half")
    await disk.write.run(args, undo, call(2))
    assert disk.files() == {"f": "new", ".theirs": "x"}

    ours.write_text("half")
    await disk.write.compensate(args, undo, call())
    assert disk.files() == {".theirs": "x"}


async def test_writing_again_after_a_crash_changes_nothing(disk: Disk) -> None:
    args = Write("f", text="new")
    undo = await disk.write.prepare(args, call())
    assert (await disk.write.query(args, undo, call())).found == "absent"

    await disk.write.run(args, undo, call())
    await disk.write.run(args, undo, call(2))

    answer = await disk.write.query(args, undo, call())
    assert answer.found == "done"
    assert msgspec.json.decode(answer.result) == undo.after


async def test_a_moved_file_comes_back(disk: Disk) -> None:
    (disk.root / "f").write_text("x")
    args = Move("f", "deep/g")
    undo = await do(disk.move, args, call())
    await disk.move.run(args, undo, call(2))
    assert disk.files() == {"deep/g": "x"}

    await disk.move.compensate(args, undo, call())
    await disk.move.compensate(args, undo, call())

    assert disk.files() == {"f": "x"}


async def test_a_move_cut_in_the_middle_is_finished_or_undone(disk: Disk) -> None:
    source, target = disk.root / "f", disk.root / "g"
    source.write_text("x")
    args = Move("f", "g")
    undo = await disk.move.prepare(args, call())
    os.link(source, target)
    await disk.move.run(args, undo, call())
    assert disk.files() == {"g": "x"}

    os.link(target, source)
    await disk.move.compensate(args, undo, call())
    assert disk.files() == {"f": "x"}


async def test_a_move_overwrites_nothing(disk: Disk) -> None:
    (disk.root / "f").write_text("x")
    args = Move("f", "g")
    undo = await disk.move.prepare(args, call())
    (disk.root / "g").write_text("theirs")

    with pytest.raises(ChangedMeanwhileError, match="replaced"):
        await disk.move.run(args, undo, call())
    await disk.move.compensate(args, undo, call())

    assert disk.files() == {"f": "x", "g": "theirs"}


async def test_a_deleted_file_comes_back_until_the_end(disk: Disk) -> None:
    (disk.root / "f").write_text("x")
    undo = await do(disk.delete, Delete("f"), call())
    assert disk.files() == {}
    await disk.delete.compensate(Delete("f"), undo, call())
    assert disk.files() == {"f": "x"}

    await disk.delete.run(Delete("f"), undo, call())
    await disk.delete.tidy(Delete("f"), undo, call())

    assert disk.files() == {}
    assert disk.kept() == []


@pytest.mark.parametrize(
    "args",
    [Write("../out", text="x"), Write("folder"), Write("f", source="/no/such")],
)
async def test_what_cannot_be_written_is_refused_beforehand(
    disk: Disk, args: Write
) -> None:
    (disk.root / "folder").mkdir()

    with pytest.raises(TransactionRefusedError):
        await disk.write.check(args)


async def test_what_cannot_be_moved_or_deleted_is_refused(disk: Disk) -> None:
    with pytest.raises(TransactionRefusedError, match="leads out"):
        await disk.move.check(Move("f", "../g"))
    with pytest.raises(TransactionRefusedError, match="leads out"):
        await disk.delete.check(Delete("../g"))
    with pytest.raises(TransactionRefusedError, match="must be a file"):
        await disk.move.prepare(Move("f", "g"), call())
    with pytest.raises(TransactionRefusedError, match="no file"):
        await disk.delete.prepare(Delete("f"), call())
    assert Moved(1) != Moved(2)


async def test_the_three_come_together(disk: Disk) -> None:
    names = [step.name for step in file_steps(disk.root, disk.keep)]

    assert names == ["files.write", "files.move", "files.delete"]


async def test_only_steps_that_say_so_can_be_asked(disk: Disk) -> None:
    answer = await disk.move.query(Move("f", "g"), Moved(1), call())

    assert answer.found == "unknown"


async def test_closing_a_fence_waits_for_the_effect_that_is_being_made() -> None:
    fence = Fence("k")
    with fence.held():
        assert not fence.close_at_once()
    assert fence.close_at_once()
    with pytest.raises(FencedError), fence.held():
        pytest.fail("it is closed")
