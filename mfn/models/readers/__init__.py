"""The networks that read crops of single faces and eyes (`mfn.inference.readers`)."""
