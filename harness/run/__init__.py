"""Run suites over backends: choosing, planning, measuring, recording."""
