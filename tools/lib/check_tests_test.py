"""Proves that the closing account of a test run goes red for what must not pass unseen."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_tests  # noqa: E402  (the path must be known first)

PASSED = '<testcase name="A.Passes" time="0.5" status="run"><system-out>ok</system-out></testcase>'
FAILED = '<testcase name="A.Fails" time="1" status="fail"><failure message=""/></testcase>'
FAILED_THEN_PASSED = '<testcase name="A.Fails" time="1" status="run"/>'
DISABLED = '<testcase name="A.Off" time="0" status="disabled"/>'


def skipped(output, message="SKIP_RETURN_CODE=77"):
    return (f'<testcase name="A.Skips" time="0" status="notrun"><skipped message="{message}"/>'
            f"<system-out>{output}</system-out></testcase>")


class ReportTest(unittest.TestCase):
    def report(self, **suites):
        with tempfile.TemporaryDirectory() as root:
            paths = []
            for label, cases in suites.items():
                path = pathlib.Path(root) / "dev" / "junit" / f"{label}.xml"
                path.parent.mkdir(parents=True, exist_ok=True)
                if cases is not None:
                    path.write_text(f"<testsuite>{cases}</testsuite>")
                if not label.endswith(".again"):
                    paths.append(path)
            return check_tests.report(paths)

    def test_adds_up_all_runs(self):
        lines, good = self.report(unit=PASSED + PASSED, contract=PASSED)
        self.assertTrue(good)
        self.assertEqual("total: 3 passed, 0 failed, 0 skipped", lines[-1])

    def test_a_failed_test_is_red_and_named(self):
        lines, good = self.report(unit=PASSED + FAILED)
        self.assertFalse(good)
        self.assertIn("FAILED  dev/unit: A.Fails", lines)
        self.assertEqual("total: 1 passed, 1 failed, 0 skipped", lines[-1])

    def test_what_passes_the_second_time_is_green_and_named(self):
        lines, good = self.report(**{"integration": PASSED + FAILED,
                                     "integration.again": FAILED_THEN_PASSED})
        self.assertTrue(good)
        self.assertIn("UNSTEADY dev/integration: A.Fails failed, and passed when run again", lines)
        self.assertEqual("total: 2 passed, 0 failed, 0 skipped", lines[-1])

    def test_what_fails_twice_is_red(self):
        lines, good = self.report(**{"integration": PASSED + FAILED, "integration.again": FAILED})
        self.assertFalse(good)
        self.assertIn("FAILED  dev/integration: A.Fails", lines)

    def test_many_that_pass_the_second_time_are_red(self):
        names = ["A", "B", "C"]
        _, good = self.report(**{
            "integration": PASSED + "".join(FAILED.replace("A.Fails", name) for name in names),
            "integration.again": "".join(FAILED_THEN_PASSED.replace("A.Fails", name) for name in names)})
        self.assertFalse(good)

    def test_a_second_run_that_cannot_be_read_forgives_nothing(self):
        _, good = self.report(**{"integration": PASSED + FAILED, "integration.again": "<broken"})
        self.assertFalse(good)

    def test_an_empty_suite_is_red(self):
        lines, good = self.report(unit=PASSED, contract="")
        self.assertFalse(good)
        self.assertIn("ERROR   dev/contract: no test of this label ran", lines)

    def test_a_suite_that_is_skipped_as_a_whole_is_red(self):
        _, good = self.report(unit=skipped("no camera here"))
        self.assertFalse(good)

    def test_a_missing_result_is_red(self):
        lines, good = self.report(unit=None)
        self.assertFalse(good)
        self.assertIn("dev/unit: no result", lines[-2])

    def test_a_skip_with_its_reason_is_green_and_shown(self):
        lines, good = self.report(unit=PASSED + skipped(
            "[ RUN      ] A.Skips\na_test.cc:7: Skipped\nno labels\n  here\n\n[  SKIPPED ] A.Skips (0 ms)\n"))
        self.assertTrue(good)
        self.assertIn("skipped dev/A.Skips: no labels here", lines)
        self.assertEqual("total: 1 passed, 0 failed, 1 skipped", lines[-1])

    def test_a_script_gives_its_reason_in_its_last_line(self):
        lines, good = self.report(lint=PASSED + skipped("looking\nno tool: install it\n"))
        self.assertTrue(good)
        self.assertIn("skipped dev/A.Skips: no tool: install it", lines)

    def test_a_skip_without_a_reason_is_red(self):
        lines, good = self.report(unit=PASSED + skipped(
            "[ RUN      ] A.Skips\na_test.cc:7: Skipped\n\n[  SKIPPED ] A.Skips (0 ms)\n"))
        self.assertFalse(good)
        self.assertIn("ERROR   dev/unit: A.Skips is skipped without a reason", lines)

    def test_a_test_that_was_not_built_is_red(self):
        lines, good = self.report(unit=PASSED + skipped("", message="Unable to find executable"))
        self.assertFalse(good)
        self.assertIn("FAILED  dev/unit: A.Skips", lines)

    def test_a_disabled_test_is_red(self):
        _, good = self.report(unit=PASSED + DISABLED)
        self.assertFalse(good)

    def test_no_run_at_all_is_red(self):
        lines, good = check_tests.report([])
        self.assertFalse(good)


if __name__ == "__main__":
    unittest.main()
