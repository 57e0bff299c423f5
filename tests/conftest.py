"""What a test measured (`record_property("measured", text)`) is printed at the end, whichever worker ran it. How long a Hypothesis example
may take is asked of no test: that would be a question to the machine."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile("figway", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("figway")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(f"measured: {text}")
