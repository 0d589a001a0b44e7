"""Where training faces come from: packs of photos, and heads that are rendered once and kept."""
