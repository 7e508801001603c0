"""Loads: options, reports, removal, quarantine, comparison with files."""
