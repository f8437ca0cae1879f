import io

from dpig_tf2.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_last_line_is_always_printed():
    stream = io.StringIO()
    progress = Progress("writing", 3, stream)
    for done in (1, 2, 3):
        progress.update(done)
    assert stream.getvalue().startswith("writing: 3/3, ")
    assert stream.getvalue().endswith(" 0 s left\n")


def test_terminal_line_is_rewritten_in_place():
    stream = Terminal()
    Progress("writing", 1, stream).update(1)
    assert stream.getvalue().startswith("\rwriting: 1/1")
