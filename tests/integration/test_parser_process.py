from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.errors import ItemRejected, Transient
from core.packs import ParsedWindow, RawMail, Slice
from sync.packing import join_windows, unpack_raw, unpack_text
from sync.parser_pool import ParserPool
from sync.parser_process import InProcessParser, ParserLimits, ParserProcess
from tests.support.mail_corpus import large_corpus, small_corpus
from tests.support.mail_factory import make_mail

MB = 1024 * 1024


def ordinary(count: int) -> list[RawMail]:
    return [RawMail(make_mail(subject=f"Number {n}", text=f"text {n}\n")) for n in range(count)]


def subjects(window: ParsedWindow) -> list[str]:
    return [item.subject for item in window.items]


def defects(window: ParsedWindow) -> list[tuple[str, ...]]:
    return [tuple(item.defects) for item in window.items]


def assert_whole(window: ParsedWindow, items: list[RawMail]) -> None:
    assert [unpack_raw(window.pack, one.raw) for one in window.items] == [item.data for item in items]


@pytest.fixture
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as process:
        yield process


def test_the_process_says_what_the_parser_says(parser: ParserProcess) -> None:
    items = [RawMail(raw, complete) for raw in small_corpus().values() for complete in (True, False)]
    assert parser.parse_window(items) == InProcessParser().parse_window(items)


def test_an_empty_window_is_an_empty_answer(parser: ParserProcess) -> None:
    assert parser.parse_window([]) == ParsedWindow(b"", ())


def test_the_text_is_in_the_pack_and_its_beginning_in_the_snippet(parser: ParserProcess) -> None:
    window = parser.parse_window([RawMail(make_mail(text="word \n" * 200))])
    item = window.items[0]
    assert item.snippet == ("word " * 32)[:160].rstrip()
    assert unpack_text(window.pack, item.text) == "word \n" * 200


def test_windows_in_flight_are_collected_in_any_order(parser: ParserProcess) -> None:
    windows = [ordinary(count) for count in (40, 1, 30, 2)]
    tickets = [parser.submit(items) for items in windows]
    for ticket, items in reversed(list(zip(tickets, windows, strict=True))):
        assert len(parser.collect(ticket).items) == len(items)
    with pytest.raises(KeyError):
        parser.collect(tickets[0])


def test_windows_larger_than_any_pipe_do_not_block_each_other(parser: ParserProcess) -> None:
    noise = [RawMail(make_mail(attachments=[("n", "image/png", os.urandom(400_000))])) for _ in range(6)]
    tickets = [parser.submit(noise) for _ in range(4)]
    for ticket in tickets:
        assert_whole(parser.collect(ticket), noise)


def test_a_killed_child_costs_nothing(parser: ParserProcess) -> None:
    items = ordinary(50)
    killed = parser.pid
    assert killed is not None
    os.kill(killed, signal.SIGSTOP)  # so that nothing can be answered before the kill
    first, second = parser.submit(items), parser.submit(items[:7])
    os.kill(killed, signal.SIGKILL)
    assert subjects(parser.collect(first)) == [f"Number {n}" for n in range(50)]
    assert len(parser.collect(second).items) == 7
    assert parser.pid not in (None, killed)


def test_a_hung_child_is_replaced() -> None:
    items = ordinary(3)
    with ParserProcess(ParserLimits(base_seconds=0.3, message_seconds=0.3)) as parser:
        assert parser.pid is not None
        os.kill(parser.pid, signal.SIGSTOP)
        window = parser.parse_window(items)
        assert subjects(window) == ["Number 0", "Number 1", "Number 2"]
        assert_whole(window, items)


def test_the_message_that_kills_the_child_is_kept_unparsed_and_the_others_are_parsed() -> None:
    # More than the address space: the child dies while it reads the message.
    bomb = RawMail(make_mail(subject="Bomb", text="see file") + b"x" * (100 * MB))
    items = [*ordinary(3), bomb, *ordinary(2)]
    with ParserProcess(ParserLimits(address_space=96 * MB)) as parser:
        window = parser.parse_window(items)
        assert subjects(window) == ["Number 0", "Number 1", "Number 2", "Bomb", "Number 0", "Number 1"]
        assert defects(window) == [(), (), (), ("unparsed",), (), ()]
        assert_whole(window, items)
        assert defects(parser.parse_window(ordinary(1))) == [()]


def test_a_message_that_takes_too_long_is_given_up_alone() -> None:
    slow = dict(large_corpus())["nested-25mb"]
    with ParserProcess(ParserLimits(message_seconds=0.03)) as parser:
        before = parser.pid
        window = parser.parse_window([*ordinary(2), RawMail(slow), *ordinary(1)])
        assert [("unparsed" in one) for one in defects(window)] == [False, False, True, False]
        assert parser.pid == before


def test_the_time_allowed_is_that_of_one_message_not_of_all() -> None:
    items = ordinary(1_000)
    with ParserProcess(ParserLimits(message_seconds=0.02)) as parser:
        assert parser.pid is not None
        child = psutil.Process(parser.pid)
        before = sum(child.cpu_times()[:2])
        assert not any(defects(parser.parse_window(items)))
        assert sum(child.cpu_times()[:2]) - before > 0.02  # else nothing is shown


def test_every_corpus_file_is_stored_in_time_and_memory(parser: ParserProcess) -> None:
    assert parser.pid is not None
    child = psutil.Process(parser.pid)
    for name, raw in [*small_corpus().items(), *large_corpus()]:
        before = sum(child.cpu_times()[:2])
        window = parser.parse_window([RawMail(raw)])
        assert sum(child.cpu_times()[:2]) - before < 2, name
        assert unpack_raw(window.pack, window.items[0].raw) == raw, name
        assert "unparsed" not in window.items[0].defects, name
        assert peak_memory(child.pid) < 128 * MB, name


def peak_memory(pid: int) -> int:
    """The most resident memory the process ever had, in octets."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_the_child_has_limits_and_sees_nothing_of_the_environment(
    parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINBOX_CANARY", "secret-canary")
    with ParserProcess() as other:
        assert other.pid is not None
        assert "secret-canary" not in psutil.Process(other.pid).environ().values()
        assert resource.prlimit(other.pid, resource.RLIMIT_AS)[1] == ParserLimits().address_space
        assert resource.prlimit(other.pid, resource.RLIMIT_CORE)[1] == 0
        assert resource.prlimit(other.pid, resource.RLIMIT_FSIZE)[1] == 0
        assert not psutil.Process(other.pid).net_connections()


def test_the_child_ends_with_its_parent() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "sync.parser_child", str(512 * MB), "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=20) == 0


def test_stopping_leaves_no_process_behind() -> None:
    parser = ParserProcess()
    parser.parse_window(ordinary(1))
    pid = parser.pid
    parser.submit(ordinary(5))
    parser.stop()
    parser.stop()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert len(parser.parse_window(ordinary(2)).items) == 2  # it starts again at need
    parser.stop()


def test_a_pool_that_was_warmed_lends_the_process_that_is_starting() -> None:
    pool = ParserPool(ParserLimits())
    pool.warm()
    pool.warm()  # one is enough
    (started,) = (child for child in psutil.Process().children() if "sync.parser_child" in child.cmdline())
    with pool.borrow() as parser:
        assert isinstance(parser, ParserProcess)
        assert parser.pid == started.pid
        assert subjects(parser.parse_window(ordinary(2))) == ["Number 0", "Number 1"]
    pool.close()
    assert not started.is_running()


def test_a_child_that_was_killed_while_it_waited_for_work_is_replaced() -> None:
    parser = ParserProcess()
    parser.warm()
    killed = parser.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert subjects(parser.parse_window(ordinary(1))) == ["Number 0"]
    assert parser.pid not in (None, killed)
    parser.stop()


def test_a_child_that_cannot_start_is_a_passing_fault_with_advice() -> None:
    parser = ParserProcess(ParserLimits(address_space=10**30))  # no limit can be that large
    with pytest.raises(Transient, match="does not start") as caught:
        parser.submit(ordinary(1))
    assert caught.value.advice
    assert parser.pid is None


def test_when_every_message_fails_the_fault_is_not_blamed_on_the_mail() -> None:
    items = [RawMail(b"x" * (3 * MB))] * 30
    with ParserProcess(ParserLimits(address_space=8 * MB)) as parser, pytest.raises(Transient, match="every message"):
        parser.parse_window(items)


def test_a_damaged_or_oversized_slice_is_rejected() -> None:
    window = InProcessParser().parse_window([RawMail(b"x" * 100_000)])
    item = window.items[0]
    for pack, where, limit in (
        (window.pack, item.raw, 99_999),
        (window.pack, Slice(1, item.raw.length), 10**6),
        (window.pack[:-1], Slice(item.raw.offset, len(window.pack)), 10**6),
        (b"", item.raw, 10**6),
    ):
        with pytest.raises(ItemRejected):
            unpack_raw(pack, where, limit=limit)


def test_joined_windows_keep_their_slices_right() -> None:
    items = ordinary(4)
    parser = InProcessParser()
    window = join_windows([parser.parse_window(items[:1]), parser.parse_window([]), parser.parse_window(items[1:])])
    assert_whole(window, items)
    assert [unpack_text(window.pack, one.text) for one in window.items] == [f"text {n}\n" for n in range(4)]
