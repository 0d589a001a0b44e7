"""The readers behind `mfn.video.reader`: PyAV, OpenCV and Pillow."""
