"""The experiment: contracts, runner, records, measuring, statistics, report, command line."""
