"""How a training runs: the command line, averaged weights, saved configurations and drawn predictions."""
