"""Programs that use what Atelier made."""
