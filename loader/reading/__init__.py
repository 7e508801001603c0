"""From bytes to codes: files, header, fields, members."""
