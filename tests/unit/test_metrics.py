"""The numbers of a process, and the text in which Prometheus reads them."""

from __future__ import annotations

import re
import threading

import pytest

from core.metrics import CALLS, DATABASE_UP, FAMILIES, LAST_TICK, RUN_SECONDS, RUNS, Kind, Sample
from sync.metrics import Metrics

_PERSONAL = {"account", "account_id", "address", "email", "user", "user_id", "workspace", "login", "mailbox", "run"}


def test_a_counter_adds_up_under_its_labels() -> None:
    metrics = Metrics()
    metrics.count(RUNS, "mail", "ok")
    metrics.count(RUNS, "mail", "ok", by=2)
    metrics.count(RUNS, "mail", "failed")
    assert lines(metrics, RUNS.name) == [
        'twinbox_runs_total{channel="mail",outcome="failed"} 1',
        'twinbox_runs_total{channel="mail",outcome="ok"} 3',
    ]


def test_a_histogram_counts_what_lies_below_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.1, 0.3, 7, 5_000):
        metrics.observe(RUN_SECONDS, seconds, "mail")
    told = {line.split()[0]: line.split()[1] for line in lines(metrics, RUN_SECONDS.name)}
    assert told['twinbox_run_seconds_bucket{channel="mail",le="0.1"}'] == "1"
    assert told['twinbox_run_seconds_bucket{channel="mail",le="0.5"}'] == "2"
    assert told['twinbox_run_seconds_bucket{channel="mail",le="10"}'] == "3"
    assert told['twinbox_run_seconds_bucket{channel="mail",le="900"}'] == "3"
    assert told['twinbox_run_seconds_bucket{channel="mail",le="+Inf"}'] == "4"
    assert told['twinbox_run_seconds_count{channel="mail"}'] == "4"
    assert float(told['twinbox_run_seconds_sum{channel="mail"}']) == pytest.approx(5_007.4)


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    metrics = Metrics()
    metrics.observe(RUN_SECONDS, -3_600, "mail")
    assert 'twinbox_run_seconds_sum{channel="mail"} 0' in lines(metrics, RUN_SECONDS.name)


def test_every_family_is_introduced_once_and_in_order() -> None:
    metrics = Metrics()
    metrics.set(LAST_TICK, 1_700_000_000.5)
    metrics.call("people.googleapis.com", "200")
    text = metrics.text({DATABASE_UP: [Sample((), 1)]})
    assert re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE) == [
        (DATABASE_UP.name, "gauge"),
        (LAST_TICK.name, "gauge"),
        (CALLS.name, "counter"),
    ]
    assert text.endswith("\n")
    assert "twinbox_scheduler_last_tick_timestamp_seconds 1700000000.5\n" in text


def test_a_label_cannot_pretend_to_be_a_line_of_its_own() -> None:
    metrics = Metrics()
    metrics.call('evil"} 1\ntwinbox_accounts{state="linked\\', "200")
    assert lines(metrics, "") == [
        r'twinbox_provider_calls_total{service="evil\"} 1\ntwinbox_accounts{state=\"linked\\",code="200"} 1'
    ]


def test_labels_without_end_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(2_000):
        metrics.call("imap", str(number))
    assert len(lines(metrics, CALLS.name)) == 500
    metrics.call("imap", "7")
    assert metrics.value(CALLS, "imap", "7") == 2


def test_wrong_labels_and_wrong_kinds_are_faults_of_ours() -> None:
    with pytest.raises(ValueError, match="twinbox_runs_total"):
        Metrics().count(RUNS, "mail")
    with pytest.raises(ValueError, match="histogram"):
        Metrics().count(RUN_SECONDS, "mail")


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def many() -> None:
        for _ in range(2_000):
            metrics.call("imap", "OK")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.value(CALLS, "imap", "OK") == 8_000


def test_names_follow_the_rules_of_prometheus_and_no_label_names_anybody() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch(r"twinbox_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert bool(family.bounds) == (family.kind is Kind.HISTOGRAM)
        assert list(family.bounds) == sorted(set(family.bounds))
        assert not _PERSONAL & set(family.labels)


def lines(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.text({}).splitlines() if not line.startswith("#") and line.startswith(name)]
