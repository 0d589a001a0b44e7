"""`mfn studio`: a page in the browser for photos, clips, the webcam and characters. It needs the extra `studio`."""
