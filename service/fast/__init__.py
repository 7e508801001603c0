"""Only speed: kept replies and admission."""
