"""Training pictures composed on the device: the CPU plans them in a few numbers, the pixels stay on the device."""
