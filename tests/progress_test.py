import io

from dpig_tf2 import progress
from dpig_tf2.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A time that moves only when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_elsewhere_a_line_now_and_then_with_the_time_left(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress("writing", 100, stream=stream, initial=0)
    for done in range(1, 31):
        clock.now += 0.25
        shown.update(done)
    assert stream.getvalue() == "writing: 20/100,  4.00it/s, 00:20 left\n"


def test_last_line_is_always_printed(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress("writing", 3, stream=stream)
    for done in (1, 2, 3, 3):
        clock.now += 0.5
        shown.update(done)
    assert stream.getvalue() == "writing: 3/3,  2.00it/s, 00:00 left\n"


def test_what_is_reported_when_it_is_done_has_no_rate(capsys):
    progress.reporter()("exporting", 1, 1)
    assert capsys.readouterr().err == "exporting: 1/1, ?it/s, ? left\n"


def test_what_an_earlier_run_has_done_does_not_count_for_the_rate(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress("writing", 100, stream=stream)
    shown.update(90)
    clock.now += 5.0
    shown.update(95)
    assert "95/100,  1.20it/s" in stream.getvalue()  # 90 is the first one of this run


def test_a_first_item_that_prepares_the_work_does_not_count_for_the_rate(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress("step", 100, stream=stream, initial=0)
    clock.now += 60.0
    shown.start(1, "loss 3")
    clock.now += 5.0
    shown.update(11)
    assert stream.getvalue().splitlines() == [
        "step: 1/100, ?it/s, ? left, loss 3",
        "step: 11/100,  2.00it/s, 00:44 left",
    ]


def test_bytes_have_prefixes_and_details_follow(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress("file.zip", 2_000_000, unit="B", initial=0, stream=stream)
    clock.now += 1.0
    shown.update(1_000_000, "from a mirror", force=True)
    assert stream.getvalue() == "file.zip: 1.00M/2.00M, 1.00MB/s, 00:01 left, from a mirror\n"


def test_a_bar_on_a_terminal():
    stream = Terminal()
    Progress("writing", 1, stream=stream).update(1)
    assert "\rwriting: 100%|" in stream.getvalue() and "| 1/1 [" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_a_bar_counts_from_the_first_item_too():
    stream = Terminal()
    shown = Progress("step", 3, stream=stream, initial=0)
    shown.start(2, "loss 3")
    assert "2/3 [00:00<?, ?it/s, loss 3]" in stream.getvalue()
    shown.update(3)
    assert "3/3 [" in stream.getvalue() and stream.getvalue().endswith("\n")


def test_every_label_has_its_own_progress(capsys):
    report = progress.reporter()
    for label, done in (("a", 1), ("b", 1), ("a", 2), ("b", 2)):
        report(label, done, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["a: 2/2", "b: 2/2"]
