"""What became of each key."""

from smalt.config.litellm.report import Remark, Report
from smalt.config.read import parse

TEXT = """\
a:
  taken: 1
  left: 2
  cache: true
b: [x, y]
c:
  - d: 3
e:
environment_variables: {X: s3cret}
"""


def test_every_key_has_one_remark() -> None:
    """In the order of the file; what nobody looked at is left out, with a reason if there is one."""
    report = Report(parse(TEXT, "config.yaml"))
    report.take(("a", "taken"), "adapt")
    report.leave(("a", "left"), "expected a number")
    report.leave(("c", 0), "not this one")
    nothing = "smalt has nothing of this kind"
    assert report.remarks() == [
        Remark(2, "a.taken", True, "adapt"),
        Remark(3, "a.left", False, "expected a number"),
        Remark(
            4,
            "a.cache",
            False,
            "answers are kept by the library if cache.size is set; the gateway keeps none yet",
        ),
        Remark(5, "b", False, nothing),
        Remark(7, "c[0]", False, "not this one"),
        Remark(8, "e", False, nothing),
        Remark(
            9,
            "environment_variables.X",
            False,
            "set them where smalt runs, or in a file .env beside smalt.yaml",
        ),
    ]
