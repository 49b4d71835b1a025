"""What Prometheus itself says of /metrics, of the scrape and of the alerts: its promtool."""

import os
import subprocess
import unittest

from tests.lib.case import HttpCase
from tests.lib.index import ROOT
from tests.lib.metrics import read_metrics


def promtool(*arguments, given=None):
    return subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True,
                          timeout=60, check=False)


class TestPromtool(HttpCase):
    def assertClean(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_metrics_of_a_used_index_follow_the_conventions(self):
        self.start()
        node = self.node(ttl=60)
        node.sends(node)
        node.messages()
        self.client.get("/nowhere")
        node.delete()
        metrics = read_metrics(self.index).text
        self.assertClean(promtool("check", "metrics", given=metrics))
        # A check that finds nothing wrong in what is wrong would be none.
        spoiled = metrics.replace("signpost_heartbeats_total", "signpost_heartbeats")
        self.assertIn("_total", promtool("check", "metrics", given=spoiled).stderr)

    def test_scrape_and_alerts_can_be_read(self):
        done = promtool("check", "config", os.path.join(ROOT, "docs", "prometheus.yml"))
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("6 rules found", done.stdout)

    def test_alerts_are_told_in_trouble_and_only_then(self):
        tests = os.path.join(ROOT, "tests", "metrics", "alerts_test.yml")
        done = promtool("test", "rules", tests)
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    unittest.main()
