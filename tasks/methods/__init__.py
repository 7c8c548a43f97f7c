"""Published style-transfer methods behind three verbs: represent, encode, render."""
