"""Changes of photographed faces with exact labels: pose, expression, one eye."""
