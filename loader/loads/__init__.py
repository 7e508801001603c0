"""What is done with loads: options, reports, removal, quarantine, control totals."""
