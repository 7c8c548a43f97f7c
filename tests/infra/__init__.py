"""What runs Atelier is valid, agrees with the package, and holds what it promises."""
